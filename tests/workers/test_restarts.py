"""Which tasks were restarted: those that ended by themselves, and were replaced because of it."""

from datetime import UTC, datetime, timedelta

import pytest

from workers.convergence import Task
from workers.restarts import restarted

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def task(name: str, made: float, state: str, ended: float, slot: int | None = 1, force: int = 0) -> Task:
    """A task that was made, and came into its state, so many seconds after noon."""
    at, since = NOON + timedelta(seconds=ended), NOON + timedelta(seconds=made)
    return Task(name, "image", "shutdown", state, "", None, None, "d", at, slot, since, force)


@pytest.mark.parametrize("state", ["failed", "complete", "rejected", "orphaned"])
def test_what_ended_and_was_replaced_was_restarted(state: str) -> None:
    first, second = task("one", 0, state, 10), task("two", 10.1, "running", 15)
    assert restarted([second, first]) == [first]


def test_each_of_several_ends_is_a_restart() -> None:
    ends = [task(str(number), number * 10, "failed", number * 10 + 5) for number in range(4)]
    assert restarted([*ends, task("last", 40, "running", 41)]) == ends


def test_what_ends_because_it_is_replaced_was_not_restarted() -> None:
    assert restarted([task("old", 0, "failed", 14), task("new", 10, "running", 15)]) == []


def test_what_was_told_to_end_was_not_restarted() -> None:
    assert restarted([task("old", 0, "shutdown", 10), task("new", 12, "running", 15)]) == []


def test_what_ended_for_good_was_not_restarted() -> None:
    assert restarted([task("one", 0, "failed", 10), task("other", 20, "running", 21, slot=2)]) == []


def test_what_a_restart_by_hand_replaces_was_not_restarted_whatever_it_says_itself() -> None:
    assert restarted([task("old", 0, "failed", 10), task("new", 11, "running", 15, force=1)]) == []


def test_a_clock_that_is_a_little_ahead_hides_no_restart() -> None:
    first = task("one", 0, "failed", 10)
    assert restarted([first, task("two", 9.5, "running", 15)]) == [first]
