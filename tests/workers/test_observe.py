"""What an application's status and health are, read off the tasks of its service."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import ApplicationStatus, HealthStatus
from workers.convergence import Task
from workers.observe import Wanted, has_drifted, reading

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING, STOPPED, ERROR = ApplicationStatus.running, ApplicationStatus.stopped, ApplicationStatus.error
HEALTHY, STARTING, UNHEALTHY, UNKNOWN = HealthStatus.healthy, HealthStatus.starting, HealthStatus.unhealthy, HealthStatus.unknown


def task(state: str, desired: str = "running", *, ago: float = 100, error: str = "") -> Task:
    return Task("t", "image", desired, state, error, None, None, "d", NOW - timedelta(seconds=ago), 1, NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("tasks", "replicas", "expected"),
    [
        ([], 0, (STOPPED, UNKNOWN)),
        ([task("shutdown", "shutdown", ago=1)], 0, (STOPPED, UNKNOWN)),
        ([task("running"), task("running")], 2, (RUNNING, HEALTHY)),
        ([task("running"), task("starting")], 2, (RUNNING, STARTING)),
        ([task("starting")], 1, (None, STARTING)),
        ([], 1, (None, STARTING)),
        ([task("running", ago=1), task("failed", "shutdown", ago=5)], 1, (RUNNING, UNHEALTHY)),
        ([task("running"), task("failed", "shutdown", ago=60)], 1, (RUNNING, HEALTHY)),
        ([task("ready", "ready"), task("failed", "shutdown", ago=2)], 1, (ERROR, UNHEALTHY)),
        ([task("complete", "shutdown", ago=2)], 1, (ERROR, UNHEALTHY)),
        ([task("running"), task("complete", "shutdown", ago=2)], 1, (RUNNING, HEALTHY)),
        ([task("pending", ago=3, error="no suitable node")], 1, (ERROR, UNHEALTHY)),
        ([task("running", "shutdown")], 1, (None, STARTING)),
    ],
)
def test_status_and_health_are_those_of_the_tasks(tasks: list[Task], replicas: int, expected: tuple[Any, Any]) -> None:
    assert reading(tasks, replicas, NOW) == expected


def service(deployment: str = "d", replicas: int = 1) -> dict[str, Any]:
    return {"Spec": {"Labels": {"dokploy.deployment": deployment}, "Mode": {"Replicated": {"Replicas": replicas}}}}


@pytest.mark.parametrize(
    ("found", "drifted"),
    [(None, True), (service(), False), (service("another"), True), (service(replicas=0), True), ({"Spec": {"Mode": {"Global": {}}}}, True)],
)
def test_a_service_that_is_not_as_recorded_has_drifted(found: dict[str, Any] | None, drifted: bool) -> None:
    assert has_drifted(found, Wanted("d", 1)) is drifted


def test_where_nothing_has_succeeded_there_should_be_no_service() -> None:
    assert has_drifted({"Spec": {}}, None)
    assert not has_drifted(None, None)
