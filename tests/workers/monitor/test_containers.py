"""Which containers are followed and measured, whose they are, and where they are reached."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from workers.monitor.containers import Place, number_of, owner_of, owners, running

LABEL, APPLICATION = "dokploy.database", "dokploy.application"
ONE, TWO = UUID(int=1), UUID(int=2)
BRIDGE = {"Containers": {"c1": {"IPv4Address": "172.18.0.2/16"}, "c2": {"IPv4Address": "172.18.0.3/16"}, "gateway": {"IPv4Address": ""}}}
TASK = "shop-7kq2x.3.k3j2l1k3j2l1k3j2l1k3j2l1k"


def container(id: str, database: Any, state: str = "running", name: str = TASK, **labels: str) -> dict[str, Any]:
    return {"Id": id, "Name": name, "State": state, "ImageID": "sha256:1", "Labels": {LABEL: str(database)} | labels}


def test_each_is_found_by_its_label() -> None:
    assert running([container("c1", ONE), container("c2", TWO)], BRIDGE) == {
        ONE: Place("c1", "172.18.0.2"),
        TWO: Place("c2", "172.18.0.3"),
    }


def test_only_those_that_run() -> None:
    states = ("created", "restarting", "exited", "dead", "paused", "removing")
    assert running([container("c1", uuid4(), state) for state in states], BRIDGE) == {}


def test_the_next_one_counts_while_one_ends() -> None:
    assert running([container("c2", ONE), container("c1", ONE)], BRIDGE) == {ONE: Place("c2", "172.18.0.3")}
    assert running([container("c2", ONE, "created"), container("c1", ONE)], BRIDGE) == {ONE: Place("c1", "172.18.0.2")}


@pytest.mark.parametrize("name", ["", "silly_gates", "shop-7kq2x", "shop-7kq2x.1", "shop.1.short", "shop.x.k3j2l1k3j2l1k3j2l1k3j2l1k"])
def test_what_swarm_has_not_started_is_nobodys_whatever_it_says(name: str) -> None:
    beside = container("c1", ONE, name=name, **{"com.docker.swarm.service.id": "s", "com.docker.swarm.task.name": TASK})
    assert running([beside, {"Id": "c2", "State": "running", "Labels": None}], BRIDGE) == {}
    assert owners([beside]) == {}
    assert number_of(beside) is None


def test_an_image_cannot_say_that_an_application_is_a_database() -> None:
    forged = container("c1", ONE, **{APPLICATION: str(TWO)})
    assert running([forged], BRIDGE) == {}
    assert owners([forged]) == {"c1": TWO}
    assert owner_of(forged) == TWO


@pytest.mark.parametrize("value", ["", "junk", "1", "{}"])
def test_a_label_that_is_no_id_is_in_nobodys_way(value: str) -> None:
    assert owners([container("c1", value), container("c2", ONE)]) == {"c2": ONE}
    assert running([container("c1", value), container("c2", ONE)], BRIDGE) == {ONE: Place("c2", "172.18.0.3")}


def test_one_that_the_host_does_not_reach_has_no_address() -> None:
    assert running([container("c9", ONE)], BRIDGE) == {ONE: Place("c9", None)}
    assert running([container("gateway", ONE)], BRIDGE) == {ONE: Place("gateway", None)}
    assert running([container("c1", ONE)], {"Containers": None}) == {ONE: Place("c1", None)}
    assert running([container("c1", ONE)], {}) == {ONE: Place("c1", None)}


def test_each_container_of_a_service_that_runs_has_an_owner() -> None:
    found = [container("c1", ONE), container("c2", ONE), container("c3", TWO), container("c4", TWO, "exited")]
    assert owners(found) == {"c1": ONE, "c2": ONE, "c3": TWO}
    assert number_of(found[0]) == 3
