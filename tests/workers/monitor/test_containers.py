"""Which containers are measured, and where they are reached."""

from typing import Any
from uuid import uuid4

from workers.monitor.containers import Place, owners, running

LABEL = "dokploy.database"
BRIDGE = {"Containers": {"c1": {"IPv4Address": "172.18.0.2/16"}, "c2": {"IPv4Address": "172.18.0.3/16"}, "gateway": {"IPv4Address": ""}}}


def container(id: str, database: str, state: str = "running", **labels: str) -> dict[str, Any]:
    swarm = {"com.docker.swarm.service.id": f"service-{database}"}
    return {"Id": id, "State": state, "ImageID": "sha256:1", "Labels": {LABEL: database} | swarm | labels}


def test_each_is_found_by_its_label() -> None:
    assert running(LABEL, [container("c1", "one"), container("c2", "two")], BRIDGE) == {
        "one": Place("c1", "172.18.0.2"),
        "two": Place("c2", "172.18.0.3"),
    }


def test_only_those_that_run() -> None:
    states = ("created", "restarting", "exited", "dead", "paused", "removing")
    assert running(LABEL, [container("c1", state, state) for state in states], BRIDGE) == {}


def test_the_next_one_counts_while_one_ends() -> None:
    assert running(LABEL, [container("c2", "one"), container("c1", "one")], BRIDGE) == {"one": Place("c2", "172.18.0.3")}
    assert running(LABEL, [container("c2", "one", "created"), container("c1", "one")], BRIDGE) == {"one": Place("c1", "172.18.0.2")}


def test_somebody_elses_container_beside_a_service_is_not_the_service() -> None:
    beside = {"Id": "c1", "State": "running", "Labels": {LABEL: "one"}}
    assert running(LABEL, [beside, {"Id": "c2", "State": "running", "Labels": None}], BRIDGE) == {}


def test_one_that_the_host_does_not_reach_has_no_address() -> None:
    assert running(LABEL, [container("c9", "one")], BRIDGE) == {"one": Place("c9", None)}
    assert running(LABEL, [container("gateway", "one")], BRIDGE) == {"one": Place("gateway", None)}
    assert running(LABEL, [container("c1", "one")], {"Containers": None}) == {"one": Place("c1", None)}
    assert running(LABEL, [container("c1", "one")], {}) == {"one": Place("c1", None)}


def test_each_container_of_a_service_that_runs_has_an_owner() -> None:
    one, two = uuid4(), uuid4()
    beside = {"Id": "c5", "State": "running", "Labels": {LABEL: str(one)}}
    found = [container("c1", str(one)), container("c2", str(one)), container("c3", str(two)), container("c4", str(two), "exited"), beside]
    assert owners(LABEL, found) == {"c1": one, "c2": one, "c3": two}
    assert owners("dokploy.application", found) == {}
