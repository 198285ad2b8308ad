"""The state machine as a table: what each event may do, read without a database."""

from uuid import UUID

import pytest

from models import DeploymentKind, DeploymentStatus, StageName
from models.lifecycle import ACTIVE, LIVING, TERMINAL
from workers.rings import ACTORS, chain
from workers.states import TABLE, TASK_GRAPHS, Change, Event, numbered, sql

ID = UUID("01900000-0000-7000-8000-000000000000")


def test_every_state_is_pending_active_or_terminal() -> None:
    assert set(DeploymentStatus) == LIVING | TERMINAL
    assert not LIVING & TERMINAL


def test_nothing_leaves_a_terminal_state() -> None:
    for transition in TABLE.values():
        assert not transition.sources & TERMINAL


def test_every_active_state_can_end_each_way() -> None:
    for target in TERMINAL:
        reached = {source for transition in TABLE.values() if transition.target is target for source in transition.sources}
        assert reached >= ACTIVE


def test_what_a_holder_does_is_fenced_by_epoch_and_worker() -> None:
    for event in (Event.renew, Event.hand_over, Event.hand_back, Event.succeed, Event.fail):
        assert "d.epoch = :epoch and d.worker = :worker" in TABLE[event].guard


def test_only_start_and_take_over_raise_epoch_and_attempt() -> None:
    raising = {event for event, transition in TABLE.items() if "epoch = d.epoch + 1" in transition.assign}
    assert raising == {Event.start, Event.take_over}
    assert raising == {event for event, transition in TABLE.items() if "attempt = d.attempt + 1" in transition.assign}


def test_times_are_the_databases() -> None:
    for event in TABLE:
        statement, parameters = sql(Change(event, ID, 1, "w", StageName.building))
        assert not any(hasattr(parameter, "isoformat") for parameter in parameters), statement


@pytest.mark.parametrize("event", TABLE)
def test_a_statement_uses_every_parameter_it_is_given(event: Event) -> None:
    statement, parameters = sql(Change(event, ID, 1, "w", StageName.building, store={"image": "x"}))
    for number in range(1, len(parameters) + 1):
        assert f"${number}" in statement
    assert f"${len(parameters) + 1}" not in statement


def test_parameters_are_numbered_in_the_order_of_their_use() -> None:
    assert numbered("a = :x and b = :y::text and c = :x", {"y": 2, "x": 1, "z": 3}) == ("a = $1 and b = $2::text and c = $1", [1, 2])


def test_each_kind_has_a_task_graph_that_ends_in_deploying() -> None:
    assert set(TASK_GRAPHS) == set(DeploymentKind)
    assert {graph[-1] for graph in TASK_GRAPHS.values()} == {StageName.deploying}
    assert set(ACTORS) == set(StageName)


def test_a_chain_is_what_is_left_of_the_task_graph() -> None:
    assert chain(DeploymentKind.git, DeploymentStatus.pending) == ("clone", "build", "deploy")
    assert chain(DeploymentKind.git, DeploymentStatus.building) == ("build", "deploy")
    assert chain(DeploymentKind.rollback, DeploymentStatus.pending) == ("deploy",)
