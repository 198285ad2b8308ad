"""Alerts: raised once a rule is broken for long enough, resolved with some distance to it, and queued for whoever is told."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from tortoise.transactions import in_transaction

import models
import workers
from models import AlertMetric, AlertSeverity, AlertStatus, NotificationEvent, alert_changes, metrics
from models.database import database
from tests.services.conftest import Api
from tests.services.measured import MIB, requests, sample, second, unmeasured
from workers import restarts
from workers.alerts import changes, watch
from workers.convergence import Task
from workers.runtime import Runtime

LIMIT = 512
MEMORY, CPU = AlertMetric.memory, AlertMetric.cpu
WARNING, CRITICAL = AlertSeverity.warning, AlertSeverity.critical
RAISED, RESOLVED = AlertStatus.raised, AlertStatus.resolved
_numbers = itertools.count(1)


@pytest.fixture
async def shop(api: Api) -> models.Application:
    """An application that runs with limits; nothing else was ever measured."""
    found = await unmeasured(api)
    limits = {"memory_limit": LIMIT, "cpu_limit": 2.0}
    await models.Application.filter(id=found.id).update(resources=limits, status=models.ApplicationStatus.running)
    return await models.Application.get(id=found.id)


async def rounds() -> None:
    """One look at all rules."""
    await watch.watch(cast("Runtime", None))


async def took(
    shop: models.Application, *percent: float, cores: float = 0.1, ago: int = 0, of: int | None = LIMIT, node: str = "one"
) -> None:
    """What a host measured of containers' memory, ten seconds each, until so many seconds ago; nothing else was measured."""
    await database().execute_query("delete from metric where node = $1", [node])
    now = metrics.begin_of(datetime.now(UTC), timedelta(seconds=10)) - second(ago)
    limits = {"memory_limit": of * MIB if of else None, "cpu_limit": 2.0}
    for number, share in enumerate(reversed(percent), 1):
        await sample(shop.id, now - second(number * 10), cores, round((of or LIMIT) * share / 100), node=node, **limits)


async def alerts(shop: models.Application) -> list[tuple[AlertMetric, AlertSeverity, AlertStatus]]:
    return [(each.metric, each.severity, each.status) for each in await models.Alert.filter(application_id=shop.id).order_by("seq")]


async def ruled(shop: models.Application, metric: str, threshold: float, duration: int, severity: str = "warning") -> None:
    """Give an application one rule in place of the usual ones."""
    rules = [{"metric": metric, "severity": severity, "threshold": threshold, "duration": duration}]
    await models.Application.filter(id=shop.id).update(alert_rules=rules)


async def test_memory_that_is_at_nine_tenths_for_a_minute_is_a_warning(shop: models.Application) -> None:
    await took(shop, *[92] * 7)
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert (alert.metric, alert.severity, alert.status) == (MEMORY, WARNING, RAISED)
    assert (alert.threshold, alert.current) == (512, 471)
    assert alert.message == "471 of 512 MiB of memory: 90 % or more for 60 s"


async def test_memory_that_is_almost_all_taken_is_critical_too(shop: models.Application) -> None:
    await took(shop, *[97] * 7)
    await rounds()
    assert sorted(await alerts(shop)) == [(MEMORY, CRITICAL, RAISED), (MEMORY, WARNING, RAISED)]


async def test_a_rule_that_is_broken_for_less_than_its_time_raises_nothing(shop: models.Application) -> None:
    await took(shop, *[97] * 5)
    await rounds()
    await took(shop, *[97] * 5, 80, 97)
    await rounds()
    assert await alerts(shop) == []


async def test_what_was_measured_long_ago_raises_nothing(shop: models.Application) -> None:
    await took(shop, *[97] * 12, ago=70)
    await rounds()
    assert await alerts(shop) == []


async def test_an_alert_is_raised_once_and_resolved_with_some_distance(shop: models.Application) -> None:
    await took(shop, *[92] * 7)
    await rounds()
    await rounds()
    await took(shop, *[88] * 9)
    await rounds()
    assert await alerts(shop) == [(MEMORY, WARNING, RAISED)], "88 is less than 90, and not yet calm"
    await took(shop, *[84] * 9)
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert (alert.status, alert.current, alert.message) == (RESOLVED, 430, "430 of 512 MiB of memory: less than 90 % again")
    assert alert.resolved_at is not None and alert.resolved_at > alert.created_at
    await took(shop, *[92] * 7)
    await rounds()
    assert await alerts(shop) == [(MEMORY, WARNING, RESOLVED), (MEMORY, WARNING, RAISED)], "another time is another alert"


async def test_an_alert_stays_while_nothing_is_measured(shop: models.Application) -> None:
    await took(shop, *[92] * 7)
    await rounds()
    await database().execute_query("delete from metric")
    await rounds()
    assert await alerts(shop) == [(MEMORY, WARNING, RAISED)]


async def test_what_hosts_measure_is_added_up(shop: models.Application) -> None:
    await took(shop, *[99] * 7, node="one")
    await took(shop, *[50] * 7, node="two")
    await rounds()
    assert await alerts(shop) == []
    await took(shop, *[83] * 7, node="two")
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert (alert.severity, alert.threshold) == (WARNING, 2 * LIMIT)


async def test_a_host_of_which_nothing_is_heard_any_more_is_no_calm(shop: models.Application) -> None:
    for node in ("one", "two"):
        await took(shop, *[92] * 9, node=node)
    await rounds()
    await database().execute_query("delete from metric where node = 'two' and at > now() - interval '40 seconds'")
    await rounds()
    assert await alerts(shop) == [(MEMORY, WARNING, RAISED)]


async def test_scaling_and_other_limits_are_no_trouble(shop: models.Application) -> None:
    await took(shop, *[30] * 9, of=4 * LIMIT)
    await models.Application.filter(id=shop.id).update(replicas=1, resources={"memory_limit": 64, "cpu_limit": 0.1})
    await rounds()
    assert await alerts(shop) == [], "they are compared with what they might take when they took it"


async def test_where_a_container_has_no_limit_nothing_is_known(shop: models.Application) -> None:
    await took(shop, *[99] * 9, of=None)
    await rounds()
    assert await alerts(shop) == []


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 0},
        {"alert_rules": []},
        {"resources": {"memory_limit": None, "cpu_limit": None}},
    ],
    ids=["stopped", "no rules", "no limit"],
)
async def test_an_alert_is_resolved_when_nothing_is_watched_any_more(shop: models.Application, change: dict[str, Any]) -> None:
    await took(shop, *[92] * 7)
    await rounds()
    await models.Application.filter(id=shop.id).update(**change)
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert alert.status is RESOLVED
    await rounds()
    assert len(await alerts(shop)) == 1


async def test_an_application_without_a_limit_has_nothing_to_be_near_to(shop: models.Application) -> None:
    await models.Application.filter(id=shop.id).update(resources=None)
    await took(shop, *[99] * 7)
    await rounds()
    assert await alerts(shop) == []


async def test_cores_are_watched_where_a_rule_says_so(shop: models.Application) -> None:
    await ruled(shop, "cpu", 80, 30)
    await took(shop, *[99] * 5, cores=1.8)
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert (alert.metric, alert.threshold, alert.current) == (CPU, 2, 1.8)
    assert alert.message == "1.80 of 2 cores: 80 % or more for 30 s"


async def test_errors_are_a_share_of_the_requests(shop: models.Application) -> None:
    await ruled(shop, "errors", 5, 60, "critical")
    await requests(shop, datetime.now(UTC) - second(20), 4, 4)
    await rounds()
    assert await alerts(shop) == [], "of so few nothing can be said"
    await requests(shop, datetime.now(UTC) - second(10), 96, 6)
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert (alert.threshold, alert.current, alert.severity) == (5, 10, CRITICAL)
    assert alert.message == "10.0 % of the requests failed: 5 % or more within 60 s"
    await database().execute_query("delete from traffic")
    await rounds()
    assert (await models.Alert.get(id=alert.id)).status is RESOLVED


async def ended(shop: models.Application, *ago: float) -> None:
    """Note containers that ended by themselves so many seconds ago."""
    now = datetime.now(UTC)
    tasks = [
        Task(f"t{next(_numbers)}", "image", "shutdown", "failed", "", None, 1, "d", now - second(each), 1, now - second(each + 60))
        for each in ago
    ]
    await restarts.note({shop.id: tasks})
    await restarts.note({shop.id: tasks, UUID(int=0): tasks})


async def test_three_restarts_in_ten_minutes_are_a_warning(shop: models.Application) -> None:
    await ended(shop, 10, 200, 700)
    await rounds()
    assert await alerts(shop) == []
    await ended(shop, 5)
    await rounds()
    [alert] = await models.Alert.filter(application_id=shop.id)
    assert (alert.metric, alert.threshold, alert.current) == (AlertMetric.restarts, 3, 3)
    assert alert.message == "3 restarts: 3 or more within 600 s"
    await database().execute_query("update restart set at = at - interval '9 minutes'")
    await rounds()
    assert await alerts(shop) == [(AlertMetric.restarts, WARNING, RAISED)], "one of them was less than ten minutes ago"
    await database().execute_query("update restart set at = at - interval '2 minutes'")
    await rounds()
    assert await alerts(shop) == [(AlertMetric.restarts, WARNING, RESOLVED)]


async def test_whoever_looks_at_the_same_time_raises_nothing_twice(shop: models.Application) -> None:
    await took(shop, *[97] * 7)
    await asyncio.gather(*(rounds() for _ in range(4)))
    assert len(await alerts(shop)) == 2


async def test_each_change_is_queued_once_for_the_channels_that_listen(shop: models.Application) -> None:
    about = {"project_id": shop.project_id, "type": models.ChannelType.webhook, "target": {"url": "https://example.com"}}
    both = [NotificationEvent.alert_raised.value, NotificationEvent.alert_resolved.value]
    first = await models.NotificationChannel.create(name="both", events=both, **about)
    await models.NotificationChannel.create(name="other", events=[NotificationEvent.deployment_failed.value], **about)
    await models.NotificationChannel.create(name="off", events=both, enabled=False, **about)
    await took(shop, *[92] * 7)
    await asyncio.gather(rounds(), rounds())
    await took(shop, *[10] * 9)
    await asyncio.gather(rounds(), rounds())
    queued = await models.Notification.all().order_by("created_at")
    assert [(each.channel_id, each.event) for each in queued] == [
        (first.id, NotificationEvent.alert_raised),
        (first.id, NotificationEvent.alert_resolved),
    ]
    raised, resolved = [each.data for each in queued]
    assert raised | {"alertId": None, "raisedAt": None} == {
        "alertId": None,
        "applicationId": str(shop.id),
        "applicationName": shop.name,
        "projectId": str(shop.project_id),
        "metric": "memory",
        "severity": "warning",
        "status": "raised",
        "threshold": 512,
        "current": 471,
        "message": "471 of 512 MiB of memory: 90 % or more for 60 s",
        "raisedAt": None,
        "resolvedAt": None,
    }
    assert (resolved["alertId"], resolved["raisedAt"], resolved["status"]) == (raised["alertId"], raised["raisedAt"], "resolved")


async def test_alerts_that_were_resolved_long_ago_are_forgotten(shop: models.Application) -> None:
    await took(shop, *[92] * 7)
    await rounds()
    await watch.forget()
    assert len(await alerts(shop)) == 1
    long_ago = datetime.now(UTC) - timedelta(days=91)
    await models.Alert.filter(application_id=shop.id).update(status=RESOLVED, resolved_at=long_ago)
    await watch.forget()
    assert await alerts(shop) == []


async def test_alerts_end_with_their_application_and_whoever_was_told_is_told(api: Api, shop: models.Application) -> None:
    about = {"project_id": shop.project_id, "type": models.ChannelType.slack, "target": {"url": "https://example.com"}}
    await models.NotificationChannel.create(name="a", events=[NotificationEvent.alert_resolved.value], **about)
    await took(shop, *[92] * 9)
    await rounds()
    raised = await alert_changes.last_seq()
    assert (await api.owner.delete(f"/applications/{shop.id}")).status_code == 204
    [told] = await models.Notification.all()
    assert (told.event, told.data["message"]) == (NotificationEvent.alert_resolved, "The application was deleted")
    [change] = await alert_changes.after(None, raised)
    assert change.status is RESOLVED
    assert (await api.owner.get(f"/alerts?applicationId={shop.id}")).json()["data"] == []


async def test_nothing_is_raised_of_what_is_being_deleted(api: Api, shop: models.Application) -> None:
    await took(shop, *[92] * 9)
    found = changes.Found(shop.id, shop.project_id, shop.name, MEMORY, WARNING, 512, 471, None, None)
    async with in_transaction():
        await workers.remove(shop, delete_volumes=False)
        late = asyncio.create_task(changes.store(found, "Late"))
        await asyncio.sleep(0.2)
    await late
    assert await models.Alert.filter(application_id=shop.id).count() == 0
