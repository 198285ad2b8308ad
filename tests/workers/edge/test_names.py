"""Which addresses an application's name stands for."""

from datetime import UTC, datetime
from typing import Any

from workers.convergence import Task
from workers.edge.names import addresses

BRIDGE = {"Containers": {f"c{number}": {"IPv4Address": f"172.18.0.{number}/16"} for number in range(1, 6)}}


def task(container: str | None, **differently: Any) -> Task:
    given: dict[str, Any] = {
        "id": f"task of {container}",
        "image": "image",
        "desired_state": "running",
        "state": "running",
        "error": "",
        "container_id": container,
        "exit_code": None,
        "deployment": "deployment",
        "timestamp": datetime.now(UTC),
        "slot": 1,
        "created_at": datetime.now(UTC),
        "application": "app",
    }
    return Task(**given | differently)


def test_containers_that_are_wanted_and_well_are_sent_requests() -> None:
    tasks = [task("c2"), task("c1"), task("c3", application="other")]
    assert addresses(tasks, BRIDGE) == {"app": ("172.18.0.1", "172.18.0.2"), "other": ("172.18.0.3",)}


def test_one_that_swarm_wants_gone_is_left_out_before_it_is_told_to_stop() -> None:
    assert addresses([task("c1", desired_state="shutdown"), task("c2")], BRIDGE) == {"app": ("172.18.0.2",)}


def test_one_whose_health_check_has_not_passed_is_left_out() -> None:
    assert addresses([task("c1", state="starting")], BRIDGE) == {}


def test_what_is_no_application_or_has_no_address_is_left_out() -> None:
    assert addresses([task("c1", application=None), task(None), task("c9")], BRIDGE) == {}
    assert addresses([task("c1")], {"Containers": None}) == {}
    assert addresses([task("c1")], {"Containers": {"c1": {"IPv4Address": ""}}}) == {}
