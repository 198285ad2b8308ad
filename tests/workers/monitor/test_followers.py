"""Which containers are followed, and how much each may print."""

from typing import Any
from uuid import uuid4

import pytest

from workers.monitor import followers
from workers.monitor.followers import Allowance, Source, sources
from workers.monitor.log_frames import Read

LABEL = "dokploy.application"


def container(id: str, subject: Any, task: str | None, state: str = "running") -> dict[str, Any]:
    return {"Id": id, "State": state, "Labels": {LABEL: str(subject)} | ({"com.docker.swarm.task.name": task} if task else {})}


def test_a_container_is_a_replica_of_whom_its_label_names() -> None:
    subject = uuid4()
    assert sources(LABEL, [container("a", subject, "shop-7kq2x.2.k3j2l1")]) == [Source("a", subject, 2)]


@pytest.mark.parametrize("task", [None, "", "odd", "shop.k3j2l1"])
def test_what_swarm_has_not_started_is_not_followed(task: str | None) -> None:
    assert sources(LABEL, [container("a", uuid4(), task)]) == []


def test_a_container_is_followed_once_it_runs_or_has_ended() -> None:
    states = ("created", "running", "exited")
    assert [each.container for each in sources(LABEL, [container(state, uuid4(), "a.1.b", state) for state in states])] == [
        "running",
        "exited",
    ]


def test_a_container_may_print_so_many_lines_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(followers, "monotonic", lambda: now)
    allowance, lines = Allowance(most=3), [Read("", str(n)) for n in range(2)]
    assert [len(allowance.within(lines)) for _ in range(3)] == [2, 1, 0]
    now = 101.0
    assert len(allowance.within(lines)) == 2
