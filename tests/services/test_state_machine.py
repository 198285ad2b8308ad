"""The state machine against Postgres: random events from several workers, held against a model in plain Python."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tortoise.exceptions import IntegrityError

import models
from models import DeploymentKind, DeploymentStatus, StageName
from models.database import database
from models.lifecycle import TERMINAL
from tests.services.conftest import Api
from workers import wishes
from workers.states import MOST_ATTEMPTS, TASK_GRAPHS, Change, Event
from workers.transitions import apply

WORKERS = ("alpha", "beta")
GRAPH = TASK_GRAPHS[DeploymentKind.git]
Status = DeploymentStatus


@dataclass
class Modelled:
    """What a deployment should be."""

    id: UUID
    status: Status = Status.pending
    epoch: int = 0
    attempt: int = 0
    worker: str | None = None
    expired: bool = False
    asked: bool = False
    seen: list[int] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return self.status not in TERMINAL and self.status is not Status.pending


class Pipeline(RuleBasedStateMachine):
    """Two workers, a reconciler and a user at one application."""

    run: Any
    application: models.Application

    deployments = Bundle("deployments")

    @initialize()
    def begin(self) -> None:
        self.all: list[Modelled] = []

    @precondition(lambda self: sum(it.status not in TERMINAL for it in self.all) < 2)
    @rule(target=deployments)
    def ask(self) -> Modelled:
        deployment = self.run(wishes.start_deployment(self.application))
        self.all.append(Modelled(deployment.id))
        return self.all[-1]

    def change(self, it: Modelled, event: Event, worker: str = "", stage: StageName | None = None, epoch: int | None = None) -> bool:
        change = Change(event, it.id, it.epoch if epoch is None else epoch, worker, stage)
        try:
            return self.run(apply(change)) is not None
        except IntegrityError:
            return False

    @rule(it=deployments, worker=st.sampled_from(WORKERS), stage=st.sampled_from(GRAPH))
    def a_message_arrives(self, it: Modelled, worker: str, stage: StageName) -> None:
        if it.status is Status.pending:
            first = min(other.id for other in self.all if other.status is Status.pending) == it.id
            expected = first and not any(other.active for other in self.all) and stage is GRAPH[0]
            if stage is not GRAPH[0]:
                return
            assert self.change(it, Event.start, worker, stage) is expected
            if expected:
                it.status, it.epoch, it.attempt, it.worker = Status(stage.value), it.epoch + 1, it.attempt + 1, worker
            return
        expected = it.active and it.worker is None and it.status == stage.value
        assert self.change(it, Event.claim, worker, stage) is expected
        if expected:
            it.worker, it.expired = worker, False

    @rule(it=deployments, worker=st.sampled_from(WORKERS), stale=st.booleans())
    def a_worker_finishes(self, it: Modelled, worker: str, stale: bool) -> None:
        epoch = it.epoch - stale
        expected = it.active and it.worker == worker and not stale
        if it.active and it.status is not Status.deploying:
            following = GRAPH[GRAPH.index(StageName(it.status.value)) + 1]
            assert self.change(it, Event.hand_over, worker, following, epoch) is expected
            if expected:
                it.status, it.worker = Status(following.value), None
        else:
            assert self.change(it, Event.succeed, worker, epoch=epoch) is expected
            if expected:
                it.status, it.worker = Status.success, None

    @rule(it=deployments, worker=st.sampled_from(WORKERS), stale=st.booleans())
    def a_worker_fails(self, it: Modelled, worker: str, stale: bool) -> None:
        expected = it.active and it.worker == worker and not stale
        assert self.change(it, Event.fail, worker, epoch=it.epoch - stale) is expected
        if expected:
            it.status, it.worker = Status.failed, None

    @rule(it=deployments, worker=st.sampled_from(WORKERS))
    def a_worker_stops(self, it: Modelled, worker: str) -> None:
        if it.active:
            expected = it.worker == worker
            assert self.change(it, Event.hand_back, worker, StageName(it.status.value)) is expected
            if expected:
                it.worker = None

    @rule(it=deployments)
    def the_lease_expires(self, it: Modelled) -> None:
        if it.worker is not None:
            self.run(database().execute_query("update deployment set lease_until = now() - interval '1 second' where id = $1", [it.id]))
            it.expired = True

    @rule(it=deployments, worker=st.sampled_from(WORKERS))
    def a_worker_renews(self, it: Modelled, worker: str) -> None:
        if it.active:
            expected = it.worker == worker
            assert self.change(it, Event.renew, worker, StageName(it.status.value)) is expected
            if expected:
                it.expired = False

    @rule(it=deployments)
    def the_reconciler_looks(self, it: Modelled) -> None:
        if not it.active:
            return
        lost = it.worker is not None and it.expired
        expected = lost and it.attempt < MOST_ATTEMPTS
        assert self.change(it, Event.take_over, stage=StageName(it.status.value)) is expected
        if expected:
            it.worker, it.epoch, it.attempt = None, it.epoch + 1, it.attempt + 1
            return
        assert self.change(it, Event.lose) is lost
        if lost:
            it.status, it.worker = Status.failed, None

    @rule(it=deployments)
    def somebody_cancels(self, it: Modelled) -> None:
        waits = it.status is Status.pending
        assert self.change(it, Event.cancel) is waits
        if waits:
            it.status = Status.cancelled
            return
        if it.active:
            assert self.change(it, Event.ask_cancel, stage=StageName(it.status.value)) is not it.asked
            it.asked = True

    @rule(it=deployments, worker=st.sampled_from(WORKERS), stale=st.booleans())
    def a_worker_carries_out_the_cancellation(self, it: Modelled, worker: str, stale: bool) -> None:
        expected = it.active and it.asked and it.worker == worker and not stale
        assert self.change(it, Event.stop, worker, epoch=it.epoch - stale) is expected
        if expected:
            it.status, it.worker = Status.cancelled, None

    @rule(it=deployments, stale=st.booleans())
    def the_reconciler_carries_out_the_cancellation(self, it: Modelled, stale: bool) -> None:
        expected = it.active and it.asked and not stale
        assert self.change(it, Event.force_stop, epoch=it.epoch - stale) is expected
        if expected:
            it.status, it.worker = Status.cancelled, None

    @invariant()
    def the_rows_are_what_the_model_says(self) -> None:
        if not getattr(self, "all", None):
            return
        rows = {row.id: row for row in self.run(models.Deployment.filter(application_id=self.application.id))}
        for it in self.all:
            row = rows[it.id]
            assert (row.status, row.epoch, row.attempt, row.worker) == (it.status, it.epoch, it.attempt, it.worker)
            assert (row.finished_at is not None) is (it.status in TERMINAL)
        assert sum(it.active for it in self.all) <= 1

    def teardown(self) -> None:
        """Sequence numbers have no gap, and each deployment that ended has exactly one terminal event, its last."""
        for it in getattr(self, "all", []):
            events = self.run(models.Event.filter(deployment_id=it.id).order_by("seq"))
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            terminal = [event.seq for event in events if event.status in TERMINAL]
            assert terminal == ([len(events)] if it.status in TERMINAL else [])
            stages = self.run(models.Stage.filter(deployment_id=it.id))
            if it.status in TERMINAL:
                assert not {stage.status for stage in stages} & {models.StageStatus.pending, models.StageStatus.running}


async def test_the_state_machine_does_what_its_model_says(api: Api) -> None:
    made = await api.application(gitSource={"repoUrl": "https://example.com/a.git"})
    loop = asyncio.get_running_loop()

    row = await models.Application.get(id=made["id"])

    class Machine(Pipeline):
        application = row

        def __init__(self) -> None:
            super().__init__()
            self.run(models.Deployment.filter(application_id=self.application.id).delete())

        @staticmethod
        def run(work: Any) -> Any:
            async def awaited() -> Any:
                return await work

            return asyncio.run_coroutine_threadsafe(awaited(), loop).result(30)

    quick = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=quick)
