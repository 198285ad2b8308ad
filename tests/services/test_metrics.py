"""Metrics: what was measured is stored, summed over hosts, and shown with gaps where nothing is known."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tortoise.transactions import in_transaction

import models
from models import metrics, rollups, totals
from models.database import database
from schema.series import MOST, PERIODS, step_of
from tests.services.conftest import Api
from tests.services.measured import DAY, HOUR, MIB, NOON, host, requests, sample, second, stored, unmeasured
from tests.services.place import running

_numbers = itertools.count(1)


@pytest.fixture
async def shop(api: Api) -> models.Application:
    """An application; nothing else was ever measured."""
    return await unmeasured(api)


@pytest.fixture
async def store(api: Api) -> models.Database:
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, f"measured-{next(_numbers)}")


async def points(subject: UUID, period: timedelta, step: int, now: datetime) -> dict[int, metrics.Point]:
    found = await metrics.series(subject, period, second(step), now)
    return {int((each.at - NOON).total_seconds()): each for each in found}


async def test_what_an_application_takes_is_the_sum_over_its_hosts(shop: models.Application) -> None:
    for node, cpu in (("one", 0.5), ("two", 0.25)):
        await sample(shop.id, NOON, cpu, 10, 100, node)
    found = await points(shop.id, HOUR, 10, NOON + second(10))
    assert list(found) == [0]
    assert (found[0].cpu, found[0].memory, found[0].network_rx, found[0].network_tx) == (0.75, 20 * MIB, 200, 2)


async def test_of_a_longer_step_there_is_the_mean_or_the_sum(shop: models.Application) -> None:
    for number, cpu in enumerate((0.1, 0.2, 0.3, 0.4)):
        await sample(shop.id, NOON + second(number * 10), cpu, 10 * (number + 1))
    await sample(shop.id, NOON + second(60), 1.0, 99)
    found = await points(shop.id, HOUR, 60, NOON + second(70))
    assert list(found) == [0, 60]
    assert found[0].cpu == pytest.approx(0.25)
    assert (found[0].memory, found[0].network_rx, found[0].requests) == (25 * MIB, 400, None)
    assert found[60].cpu == 1.0


async def test_gaps_are_gaps(shop: models.Application) -> None:
    await sample(shop.id, NOON)
    await sample(shop.id, NOON + second(1800), None, 10, None)
    found = await points(shop.id, HOUR, 60, NOON + second(1860))
    assert list(found) == [0, 1800]
    assert (found[1800].cpu, found[1800].network_rx, found[1800].memory) == (None, None, 10 * MIB)


async def test_requests_come_from_the_edge(shop: models.Application) -> None:
    await requests(shop, NOON + second(20), 5, 1)
    await requests(shop, NOON + second(50), 7)
    await requests(shop, NOON + second(80), 4, 2)
    found = await points(shop.id, HOUR, 60, NOON + second(90))
    assert {at: (each.requests, each.errors, each.cpu) for at, each in found.items()} == {0: (12, 1, None), 60: (4, 2, None)}


async def test_a_second_round_in_the_same_ten_seconds_adds_to_the_first(shop: models.Application) -> None:
    await sample(shop.id, NOON, 0.5, 10, 100)
    await sample(shop.id, NOON, None, 12, 5)
    await sample(shop.id, NOON, 0.25, 12, None)
    assert await stored(shop.id, 10) == {0: (0.25, 12 * MIB, 105, 3, None, None)}


async def test_what_is_not_there_or_deleted_is_not_measured(shop: models.Application, store: models.Database) -> None:
    await models.Database.filter(id=store.id).update(deleted_at=NOON)
    for subject in (uuid4(), store.id, shop.id):
        await sample(subject, NOON)
    rows = await database().execute_query_dict("select subject_id from metric")
    assert [row["subject_id"] for row in rows] == [shop.id]


async def test_a_host_whose_clock_is_ahead_is_in_nobodys_way(shop: models.Application) -> None:
    await sample(shop.id, NOON + DAY, 9.0)
    await database().execute_query("insert into metric (subject_id, resolution, at) values ($1, 60, $2)", [shop.id, NOON + DAY])
    await sample(shop.id, NOON)
    await rollups.roll_up(NOON + second(60))
    assert (await stored(shop.id, 60))[0][0] == 0.5
    assert list(await points(shop.id, HOUR, 60, NOON + second(60))) == [0]


async def used(api: Api, application: models.Application) -> tuple[Any, Any]:
    resources = (await api.owner.get(f"/applications/{application.id}")).json()["resources"]
    assert (resources["sampledAt"] is None) == (resources["currentMemory"] is None)
    return resources["currentCpu"], resources["currentMemory"]


async def test_an_application_shows_what_it_takes_now(api: Api, shop: models.Application) -> None:
    assert await used(api, shop) == (None, None)
    now = datetime.now(UTC)
    await sample(shop.id, now - second(20), 5.0, 500)
    await sample(shop.id, now - second(10), 0.25, 40)
    await sample(shop.id, now - second(10), 0.5, 2, node="two")
    assert await used(api, shop) == (0.75, 42)
    shown = (await api.owner.get(f"/applications/{shop.id}")).json()["resources"]["sampledAt"]
    assert abs(datetime.fromisoformat(shown) - now) < second(1)


async def test_what_ended_on_one_host_is_left_out_at_once(api: Api, shop: models.Application) -> None:
    now = datetime.now(UTC)
    await sample(shop.id, now - second(20), 0.25, 40)
    await sample(shop.id, now - second(20), 0.5, 2, node="two")
    await metrics.store(now - second(10), host("two"), [])
    assert await used(api, shop) == (0.25, 40)


async def test_nothing_is_now_that_was_a_minute_ago(api: Api, shop: models.Application) -> None:
    await sample(shop.id, datetime.now(UTC) - second(70))
    assert await used(api, shop) == (None, None)


async def test_metrics_of_an_application_over_rest(api: Api, shop: models.Application) -> None:
    minute = metrics.begin_of(datetime.now(UTC), second(60)) - second(120)
    await sample(shop.id, minute, 0.23456789, 345, 1000)
    await sample(shop.id, minute + second(10), 0.23456789, 345, 24)
    await requests(shop, minute + second(30), 150, 2)
    answer = (await api.owner.get(f"/applications/{shop.id}/metrics")).json()
    at = minute.isoformat().replace("+00:00", "Z")
    assert answer == {
        "period": "1h",
        "step": 60,
        "metrics": {
            "cpu": [{"timestamp": at, "value": 0.2346}],
            "memory": [{"timestamp": at, "value": 345}],
            "networkRx": [{"timestamp": at, "value": 1024}],
            "networkTx": [{"timestamp": at, "value": 2}],
            "requests": [{"timestamp": at, "value": 150}],
            "errors": [{"timestamp": at, "value": 2}],
        },
    }
    row = (await api.owner.get(f"/applications/{shop.id}")).json()
    assert row["_links"]["metrics"] == f"/api/applications/{shop.id}/metrics"


async def test_metrics_of_an_application_over_graphql(api: Api, shop: models.Application) -> None:
    await sample(shop.id, datetime.now(UTC) - second(30), 0.5, 1)
    query = """query($id: ID!) {
        applicationMetrics(id: $id, period: "6h", step: 15) { period step metrics { cpu { value } memory { value } requests { value } } }
    }"""
    answer = await api.owner.graphql(query, id=str(shop.id))
    assert answer["data"]["applicationMetrics"] == {
        "period": "6h",
        "step": 30,
        "metrics": {"cpu": [{"value": 0.5}], "memory": [{"value": 1}], "requests": []},
    }


async def test_very_many_points_are_refused_before_they_are_fetched(api: Api, shop: models.Application) -> None:
    field = f'applicationMetrics(id: "{shop.id}") {{ metrics {{ cpu {{ timestamp value }} memory {{ timestamp value }} }} }}'

    async def asked(times: int) -> dict[str, Any]:
        return await api.owner.graphql("{" + " ".join(f"m{number}: {field}" for number in range(times)) + "}")

    assert "errors" not in await asked(40)
    assert (await asked(60))["errors"][0]["extensions"]["code"] == "VALUES_LIMIT_EXCEEDED"


async def test_metrics_of_a_database(api: Api, store: models.Database) -> None:
    await sample(store.id, datetime.now(UTC) - second(30), 0.5, 64, 9)
    answer = (await api.owner.get(f"/databases/{store.id}/metrics?period=24h")).json()
    assert (answer["period"], answer["step"]) == ("24h", 900)
    assert answer["metrics"] == {"cpu": [], "memory": [], "networkRx": [], "networkTx": []}, "minutes are made of it later"
    await rollups.roll_up(datetime.now(UTC))
    answer = (await api.owner.get(f"/databases/{store.id}/metrics?period=24h&step=60")).json()["metrics"]
    assert [[each["value"] for each in series] for series in answer.values()] == [[0.5], [64], [9], [1]]
    row = (await api.owner.get(f"/databases/{store.id}")).json()
    assert row["_links"]["metrics"] == f"/api/databases/{store.id}/metrics"


@pytest.mark.parametrize("period", PERIODS)
async def test_every_period_has_its_steps(api: Api, shop: models.Application, period: str) -> None:
    length = PERIODS[period].length
    now = datetime.now(UTC)
    level = metrics.level_of(length)
    begin = metrics.begin_of(now, second(level.seconds))
    rows = [begin - second(level.seconds) * number for number in range(int(length.total_seconds()) // level.seconds + 5)]
    await database().execute_query(
        "insert into metric (subject_id, resolution, at, cpu) select $1, $2, at, 1 from unnest($3::timestamptz[]) as at",
        [shop.id, level.seconds, rows],
    )
    for step in (1, 60, 1000, None, 30 * 86_400):
        asked = "" if step is None else f"&step={step}"
        answer = (await api.owner.get(f"/applications/{shop.id}/metrics?period={period}{asked}")).json()
        cpu, used = answer["metrics"]["cpu"], answer["step"]
        assert used % level.seconds == 0 and used <= length.total_seconds()
        assert used >= (step or 0) or used == length.total_seconds()
        assert abs(len(cpu) - length.total_seconds() / used) <= 1, "the whole period, and nothing beside it"
        assert len(cpu) <= MOST
        assert {each["value"] for each in cpu} == {1.0}


@pytest.mark.parametrize(("period", "wanted", "used"), [
    ("1h", None, 60), ("1h", 1, 10), ("1h", 10, 10), ("1h", 11, 20), ("1h", 7200, 3600),
    ("6h", None, 300), ("6h", 10, 30), ("24h", None, 900), ("24h", 10, 120), ("24h", 90, 120),
    ("7d", None, 3600), ("7d", 60, 900), ("30d", None, 14_400), ("30d", 10, 2700), ("30d", 2701, 3600),
])  # fmt: skip
def test_a_step_below_what_is_stored_is_rounded_up(period: str, wanted: int | None, used: int) -> None:
    assert step_of(period, wanted) == used


@pytest.mark.parametrize(
    ("query", "field"),
    [("period=2h", "period"), ("period=", "period"), ("step=0", "step"), ("step=fast", "step"), ("step=2592001", "step"), ("a=1", "a")],
)
async def test_what_cannot_be_asked_for_is_said(api: Api, shop: models.Application, query: str, field: str) -> None:
    answer = await api.owner.get(f"/applications/{shop.id}/metrics?{query}")
    assert answer.status_code == 400
    [problem] = answer.json()["error"]["details"]["errors"]
    assert problem["field"] == field
    if field == "period":
        assert "1h, 6h, 24h, 7d, 30d" in problem["message"]


async def test_the_system_is_the_sum_of_its_hosts(api: Api, shop: models.Application) -> None:
    now = datetime.now(UTC)
    await metrics.store(now, host("one", cores=2, cpu=0.5, memory=100 * MIB, disk=1000 * MIB, network_rx=5, network_tx=6), [])
    await metrics.store(now, host("two", cores=6, cpu=0.1, memory=50 * MIB, disk=1 * MIB, network_rx=None, network_tx=None), [])
    await metrics.store(now - second(90), host("three", memory=1 << 50), [])
    found = (await api.owner.get("/metrics")).json()["system"]
    assert found == {"cpu": 0.2, "memory": 150, "disk": 1001, "network": {"rx": 5, "tx": 6}}


async def test_a_system_that_nobody_measures(api: Api, shop: models.Application) -> None:
    found = (await api.owner.get("/metrics")).json()["system"]
    assert found == {"cpu": None, "memory": None, "disk": None, "network": {"rx": None, "tx": None}}


async def deployed(application: models.Application, status: str, age: timedelta) -> None:
    at = datetime.now(UTC) - age
    ended = None if status == "pending" else at
    row = await models.Deployment.create(
        application=application,
        project_id=application.project_id,
        kind=models.DeploymentKind.image,
        status=models.DeploymentStatus(status),
        snapshot={},
        finished_at=ended,
    )
    await models.Deployment.filter(id=row.id).update(created_at=at)


async def counted(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    found = (await api.owner.get("/metrics")).json()
    return found["applications"], found["deployments"]


async def test_the_system_counts_applications_and_deployments(api: Api, shop: models.Application) -> None:
    await database().execute_script("delete from deployment")
    before, none = await counted(api)
    assert none == {"total": 0, "lastHour": 0, "successRate": None}
    for status, age in [
        *[("success", timedelta(minutes=5))] * 3,
        *[("success", timedelta(days=29)), ("failed", timedelta(hours=2)), ("cancelled", timedelta(minutes=1))],
        *[("failed", timedelta(days=31)), ("pending", timedelta())],
    ]:
        await deployed(shop, status, age)
    await api.application()
    await models.Application.filter(id=shop.id).update(status=models.ApplicationStatus.error)
    after, found = await counted(api)
    assert found == {"total": 8, "lastHour": 5, "successRate": 0.8}
    assert (after["total"], after["error"]) == (before["total"] + 1, before["error"] + 1)


async def test_the_system_over_graphql(api: Api, shop: models.Application) -> None:
    await metrics.store(datetime.now(UTC), host(network_rx=1 << 40), [])
    answer = await api.owner.graphql("{ systemMetrics { system { cpu network { rx } } deployments { total } } }")
    assert answer["data"]["systemMetrics"]["system"] == {"cpu": 0.5, "network": {"rx": 1 << 40}}


async def test_only_owners_and_admins_see_the_system(api: Api) -> None:
    person = await api.person()
    assert (await person.get("/metrics")).status_code == 403


async def test_the_totals_of_the_system_are_read_off_indexes(api: Api) -> None:
    """With so few rows a scan would be as fast, so scans are forbidden: where an index will not do, there is one nevertheless."""
    async with in_transaction() as transaction:
        await transaction.execute_script("set local enable_seqscan = off; set local enable_bitmapscan = off")
        plan = await transaction.execute_query_dict(f"explain {totals._DEPLOYMENTS}", [NOON, NOON])
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert text.count("deployment_by_outcome") == 2 and "Seq Scan on deployment" not in text
