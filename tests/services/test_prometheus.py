"""What Prometheus scrapes: who may, what it says, and that Prometheus' own reader understands it."""

import asyncio
import importlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from tortoise.exceptions import OperationalError

import models
from models import container_logs, counts, notifications
from models.container_logs import Printed
from models.database import database
from models.settings import settings
from models.standing import Standing, record
from tests.services.conftest import Api
from workers import reconcile, states, transitions
from workers.databases import tasks
from workers.edge.counts import Count as EdgeCount
from workers.edge.counts import Counter as EdgeCounter

PATH = "/api/metrics/prometheus"
COUNT = "dokploy_http_request_duration_seconds_count"


def told(answer: httpx2.Response) -> dict[str, dict[tuple[str, ...], float]]:
    """The values by name and labels."""
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_it_says_how_many_applications_and_deployments_there_are(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application()
    deployment = (await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"]
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_applications_total"][("pending",)] == 1
    assert found["dokploy_deployments_total"][("success",)] == 0
    await models.Deployment.filter(id=deployment).update(status="success", finished_at=datetime.now(UTC))
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_deployments_total"][("success",)] == 1


async def test_what_was_deleted_stays_counted(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application()
    deployment = (await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"]
    await ended_after(deployment, 90.5)
    before = told(await api.client.get(PATH, headers=scraped))
    await models.Application.filter(id=application["id"]).delete()
    after = told(await api.client.get(PATH, headers=scraped))
    assert after["dokploy_applications_total"] == dict.fromkeys(after["dokploy_applications_total"], 0)
    for name in ("dokploy_deployments_total", "dokploy_stage_duration_seconds_count", "dokploy_stage_duration_seconds_sum"):
        assert after[name] == before[name]
        assert any(after[name].values())


async def ended_after(deployment: str, seconds: float) -> None:
    now = datetime.now(UTC)
    await models.Stage.filter(deployment_id=deployment).update(started_at=now - timedelta(seconds=seconds))
    await models.Stage.filter(deployment_id=deployment).update(status="completed", finished_at=now)
    await models.Deployment.filter(id=deployment).update(status="success", finished_at=now)


async def test_it_says_how_long_stages_took(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application()
    for seconds in (90.5, 9.25):
        await ended_after((await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"], seconds)
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_stage_duration_seconds_count"] == {("cloning",): 0, ("building",): 0, ("deploying",): 2}
    assert found["dokploy_stage_duration_seconds_sum"] == {("cloning",): 0, ("building",): 0, ("deploying",): 99.75}


async def test_what_had_happened_before_there_were_counts_is_counted(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application()
    for seconds in (90.5, 9.25):
        await ended_after((await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"], seconds)
    waiting = (await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"]
    await models.Deployment.filter(id=waiting).update(attempt=3)
    before = told(await api.client.get(PATH, headers=scraped))
    await database().execute_script("delete from counted")
    for statement in importlib.import_module("models.migrations.0010_container_logs").COUNTED_SO_FAR:
        await database().execute_script(statement)
    after = told(await api.client.get(PATH, headers=scraped))
    for name in ("dokploy_deployments_total", "dokploy_stage_duration_seconds_count", "dokploy_stage_duration_seconds_sum"):
        assert after[name] == before[name]
    assert after["dokploy_take_overs_total"] == {("deployment",): 2, ("backup",): 0, ("restore",): 0}


async def test_it_says_what_waits(api: Api, scraped: dict[str, str]) -> None:
    application, database = await api.application(), await api.database()
    for _ in range(2):
        await api.owner.made(f"/applications/{application['id']}/deploy", {})
    row = await models.Database.get(id=database["id"])
    common = {"database_id": row.id, "project_id": row.project_id}
    backups = [
        await models.DatabaseBackup.create(**common, name=f"b{n}", type=row.type, version=row.version, storage="local") for n in range(3)
    ]
    await models.DatabaseRestore.create(**common, backup_id=backups[0].id)
    channel = await models.NotificationChannel.create(project_id=row.project_id, name="a", type="slack", target={})
    await notifications.queue_for(channel, models.NotificationEvent.test, {})
    await models.Notification.create(channel=channel, project_id=row.project_id, event=models.NotificationEvent.test)
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_queue_depth"] == {("deployments",): 2, ("backups",): 3, ("restores",): 1, ("notifications",): 1}
    unfinished = found["dokploy_deployments_unfinished"]
    assert unfinished == {("pending",): 2, ("cloning",): 0, ("building",): 0, ("deploying",): 0}


async def test_it_says_which_alerts_are_raised(api: Api, scraped: dict[str, str]) -> None:
    row = await models.Application.get(id=(await api.application())["id"])
    about = {"application": row, "project_id": row.project_id, "metric": "memory", "threshold": 1, "current": 1, "message": ""}
    for seq, severity in enumerate(models.AlertSeverity, 1):
        await models.Alert.create(**about, severity=severity, seq=seq)
    await models.Alert.create(**about, severity="warning", status="resolved", seq=9)
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_alerts_raised"] == {("warning",): 1, ("critical",): 1}


async def test_a_take_over_is_counted_and_a_beginning_and_a_return_are_not(api: Api, scraped: dict[str, str]) -> None:
    application, database = await api.application(), await models.Database.get(id=(await api.database())["id"])
    id = UUID((await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"])
    stage = models.StageName.deploying
    assert await transitions.apply(states.Change(states.Event.start, id, worker="w", stage=stage))
    assert await transitions.apply(states.Change(states.Event.hand_back, id, 1, "w", stage))
    assert await transitions.apply(states.Change(states.Event.claim, id, 1, "v", stage))
    common = {"database_id": database.id, "project_id": database.project_id}
    backup = await models.DatabaseBackup.create(**common, name="b", type=database.type, version=database.version, storage="local")
    await models.Database.filter(id=database.id).update(granted=database.wished)
    kind = models.DatabaseBackup
    assert await tasks.apply(tasks.Change(kind, tasks.Event.start, backup.id, worker="w"))
    assert await tasks.apply(tasks.Change(kind, tasks.Event.hand_back, backup.id, 1, "w"))
    assert await tasks.apply(tasks.Change(kind, tasks.Event.start, backup.id, worker="w"))
    none = {("deployment",): 0, ("backup",): 0, ("restore",): 0}
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_take_overs_total"] == none
    lapsed = datetime.now(UTC) - timedelta(seconds=1)
    await models.Deployment.filter(id=id).update(lease_until=lapsed)
    await models.DatabaseBackup.filter(id=backup.id).update(lease_until=lapsed)
    assert await transitions.apply(states.Change(states.Event.take_over, id, 1, stage=stage))
    assert await tasks.apply(tasks.Change(kind, tasks.Event.take_over, backup.id, 2))
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_take_overs_total"] == none | {("deployment",): 1, ("backup",): 1}


async def test_lost_lines_are_counted_beyond_the_logs_that_lacked_them(api: Api, scraped: dict[str, str]) -> None:
    id = UUID((await api.application())["id"])
    printed = [Printed("2026-11-28T12:00:00.000000000Z", models.LogLevel.info, 1, "a line")]
    for lost in (0, 7, 5):
        assert await container_logs.store(id, printed, lost, {})
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_log_lines_lost_total"] == {(): 12}
    await models.Application.filter(id=id).update(deleted_at=datetime.now(UTC))
    await container_logs.sweep()
    assert not await container_logs.store(id, printed, 3, {})
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_log_lines_lost_total"] == {(): 12}


async def passed_on(counter: EdgeCounter, application: UUID, requests: int, errors: int) -> None:
    """An edge passes requests on, and stores it."""
    counter.added[f"app_{application}_30000", "_other"].add(EdgeCount(requests, errors))
    await counter.store(30.0)


async def edges(api: Api, scraped: dict[str, str]) -> tuple[float, float]:
    """How many requests were passed on, and how many of them were errors."""
    found = told(await api.client.get(PATH, headers=scraped))
    return found["dokploy_edge_requests_total"][()], found["dokploy_edge_errors_total"][()]


async def test_what_edges_passed_on_is_counted_beyond_its_rows_and_applications(api: Api, scraped: dict[str, str]) -> None:
    one, two = [UUID((await api.application(name=name))["id"]) for name in ("one", "two")]
    assert await edges(api, scraped) == (0, 0)
    here, there = EdgeCounter(), EdgeCounter()
    await passed_on(here, one, 10, 0)
    assert await edges(api, scraped) == (10, 0)
    await passed_on(there, two, 5, 2)
    await here.store(30.0)
    assert await edges(api, scraped) == (15, 2), "nothing is counted that did not happen"
    await models.Traffic.all().delete()
    await models.Application.all().delete()
    await passed_on(here, one, 7, 7)
    assert await edges(api, scraped) == (15, 2), "what nobody has any more is no traffic"


async def test_what_edges_passed_on_is_counted_once_also_if_it_could_not_be_stored_at_first(
    api: Api, scraped: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    application, counter = UUID((await api.application())["id"]), EdgeCounter()
    with monkeypatch.context() as broken:
        broken.setattr(counts, "_HAPPENED", "select 1 / 0 where $1::text[] is not null and $2::bigint[] is not null")
        with pytest.raises(OperationalError):
            await passed_on(counter, application, 10, 1)
    assert await models.Traffic.all().count() == 0, "both, or neither"
    await counter.store(30.0)
    assert await edges(api, scraped) == (10, 1)
    assert [(row.requests, row.errors) for row in await models.Traffic.all()] == [(10, 1)]


async def test_counts_are_added_up_and_stay_what_they_are(api: Api, scraped: dict[str, str]) -> None:
    for label in ("building", "cloning"):
        await database().execute_query(
            "insert into counted select 'stage', $1::text, 1, n from generate_series(1, $2::int) n", [label, counts.MOST_ROWS]
        )
    before = (await api.client.get(PATH, headers=scraped)).text
    await asyncio.gather(*(reconcile._clear_away(None) for _ in range(4)))  # type: ignore[arg-type]
    after = (await api.client.get(PATH, headers=scraped)).text
    assert (await database().execute_query_dict("select count(*) as rows from counted"))[0]["rows"] == 2
    stages = [line for line in before.splitlines() if line.startswith("dokploy_stage")]
    assert stages == [line for line in after.splitlines() if line.startswith("dokploy_stage")]
    assert 'dokploy_stage_duration_seconds_sum{stage="building"} 5.05' in stages


async def test_requests_are_counted_by_method_and_class_of_status(api: Api, scraped: dict[str, str]) -> None:
    async def requests() -> Counter[tuple[str, ...]]:
        return Counter({key: int(number) for key, number in told(await api.client.get(PATH, headers=scraped))[COUNT].items()})

    before = await requests()
    await api.owner.get("/users/me")
    await api.owner.get(f"/applications/{uuid4()}")
    await api.client.post("/api/nowhere", json={})
    for method in ("BREW", "WHEN"):
        await api.client.request(method, "/api/users/me", headers=api.owner.headers)
    found = await requests() - before
    # The scrape before is among them, and this one not yet.
    assert found == {("GET", "2xx"): 2, ("GET", "4xx"): 1, ("POST", "4xx"): 1, ("other", "4xx"): 2}


async def test_a_stream_is_open_and_not_a_request(api: Api, server: str, scraped: dict[str, str]) -> None:
    application = await api.application()
    deployment = (await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"]
    first = told(await api.client.get(PATH, headers=scraped))
    assert first["dokploy_open_streams"] == {(): 0}
    assert first["dokploy_followers"] == {("deployments",): 0, ("logs",): 0}
    url = server.replace("ws://", "http://").replace("/graphql", f"/deployments/{deployment}/events")
    async with httpx2.AsyncClient(timeout=10) as client, client.stream("GET", url, headers=api.owner.headers) as stream:
        assert stream.status_code == 200
        lines = stream.aiter_lines()
        await anext(lines)
        during = told(await api.client.get(PATH, headers=scraped))
        assert during["dokploy_open_streams"] == {(): 1}
        assert during["dokploy_followers"] == {("deployments",): 1, ("logs",): 0}
    scrapes, last = 1, during
    async with asyncio.timeout(10):
        while last["dokploy_open_streams"] != {(): 0}:
            await asyncio.sleep(0.05)
            last, scrapes = told(await api.client.get(PATH, headers=scraped)), scrapes + 1
    assert last["dokploy_followers"] == {("deployments",): 0, ("logs",): 0}
    assert last[COUNT]["GET", "2xx"] - first[COUNT].get(("GET", "2xx"), 0) == scrapes, "nothing but what asked"


async def test_it_says_how_each_edge_is(api: Api, scraped: dict[str, str]) -> None:
    await record("one", Standing((30000, 30001)))
    await record("two", Standing((30000,), (30001,), "Something."))
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_edge_up"] == {("one",): 1, ("two",): 1}
    assert found["dokploy_edge_well"] == {("one",): 1, ("two",): 0}
    assert found["dokploy_edge_ports_served"] == {("one",): 2, ("two",): 1}
    assert found["dokploy_edge_ports_left_out"] == {("one",): 0, ("two",): 1}
    await models.EdgeNode.filter(name="one").update(seen_at=datetime.now(UTC) - timedelta(seconds=60))
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_edge_up"] == {("one",): 0, ("two",): 1}


async def test_only_prometheus_owners_and_admins_may_read_it(api: Api, scraped: dict[str, str]) -> None:
    stranger = await api.person()
    assert (await api.client.get(PATH)).status_code == 401
    assert (await api.client.get(PATH, headers={"Authorization": "Bearer something else"})).status_code == 401
    assert (await api.client.get(PATH, headers=stranger.headers)).status_code == 403
    assert (await api.client.get(PATH, headers=api.owner.headers)).status_code == 200
    assert (await api.client.get(PATH.replace("/api/", "/api/v1/"), headers=scraped)).status_code == 200
    assert (await api.client.get("/api/users/me", headers=scraped)).status_code == 401, "the token is for nothing else"


@pytest.mark.parametrize("token", [None, SecretStr("")], ids=["none", "empty"])
async def test_without_a_token_of_its_own_prometheus_may_not(api: Api, monkeypatch: pytest.MonkeyPatch, token: SecretStr | None) -> None:
    monkeypatch.setitem(settings().__dict__, "metrics_token", token)
    for given in ("Bearer ", "Bearer None", ""):
        assert (await api.client.get(PATH, headers={"Authorization": given} if given else {})).status_code == 401


async def test_no_tenant_is_named(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application(name="very-secret-name")
    text = (await api.client.get(PATH, headers=scraped)).text
    assert "very-secret" not in text
    assert application["id"] not in text
