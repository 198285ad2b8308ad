"""Which containers are followed, and how much each may print."""

from uuid import uuid4

import pytest

from tests.workers.monitor.test_containers import container
from workers.monitor import followers
from workers.monitor.followers import Allowance, Source, sources
from workers.monitor.log_frames import Position, Read


def test_a_container_is_a_replica_of_whom_its_label_names() -> None:
    subject = uuid4()
    assert sources([container("a", subject)]) == [Source("a", subject, 3)]


def test_what_swarm_has_not_started_is_not_followed() -> None:
    assert sources([container("a", uuid4(), name="by-hand")]) == []


def test_a_container_is_followed_once_it_runs_or_has_ended() -> None:
    found = sources([container(state, uuid4(), state) for state in ("created", "running", "exited")])
    assert [(each.container, each.running) for each in found] == [("running", True), ("exited", False)]


def test_a_container_may_print_so_many_lines_in_a_second_whenever_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "MOST_LINES", 2)
    allowance = Allowance()
    times = [f"2026-11-28T12:00:0{second}.{n}00000000Z" for second in (1, 2) for n in range(3)]
    assert [allowance.within(Read(at, "", Position())) for at in times] == [True, True, False] * 2
