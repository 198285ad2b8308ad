"""Cancelling: what waits ends at once, what runs is stopped and taken back, and against the finish exactly one of the two wins."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

import models
from models import DeploymentStatus, StageName
from models.database import database
from models.lifecycle import TERMINAL
from models.settings import settings
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from workers import pipeline, processes, reconcile, rescue, wishes
from workers.facts import Contradiction
from workers.pipeline import perform
from workers.publishing import Publishing
from workers.run import Run, Stage, Stored
from workers.runtime import Runtime
from workers.states import Change, Event
from workers.transitions import apply

GIT = {"repoUrl": "https://example.com/a.git"}
STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
time.sleep(600)
"""
"""A process and its child, which does not listen to SIGTERM; each writes down its pid."""


@pytest.fixture
async def runtime(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A worker that has no Docker and looks often."""
    monkeypatch.setattr(settings(), "data", tmp_path)
    monkeypatch.setattr(pipeline, "LOOK", 0.05)
    return Runtime(cast("Any", None), cast("Any", None), publishing=Publishing.host, name="tester")


async def asked(api: Api) -> models.Deployment:
    made = await api.application(gitSource=GIT)
    return await wishes.start_deployment(await models.Application.get(id=made["id"]))


async def endings(id: UUID) -> list[str]:
    events = await models.Event.filter(deployment_id=id, kind="status").order_by("seq")
    return [event.status.value for event in events if event.status in TERMINAL]


@pytest.mark.parametrize("over", ["rest", "graphql"])
async def test_what_waits_has_ended_when_the_answer_comes(api: Api, over: Transport) -> None:
    row = await asked(api)
    outcome = await ask(over, api.owner, "deployments.cancel", str(row.id))
    assert outcome.data["status"] == "cancelled"
    assert await endings(row.id) == ["cancelled"]
    again = await ask(over, api.owner, "deployments.cancel", str(row.id))
    assert again.code == "CONFLICT"


async def test_the_answer_is_a_202_and_what_has_ended_is_a_409_with_its_reason(api: Api) -> None:
    row = await asked(api)
    await apply(Change(Event.start, row.id, worker="w", stage=StageName.cloning))
    answers = [await api.owner.post(f"/deployments/{row.id}/cancel", {}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    first, second = [answer.json() for answer in answers]
    assert (first["deploymentId"], first["status"], first["cancelRequestedAt"]) == (str(row.id), "cloning", second["cancelRequestedAt"])
    assert await apply(Change(Event.stop, row.id, 1, "w"))
    ended = await api.owner.post(f"/deployments/{row.id}/cancel", {})
    assert (ended.status_code, ended.json()["error"]["details"]["reason"]) == (409, "ALREADY_ENDED")


async def test_the_next_in_line_is_rung_when_the_first_is_cancelled(api: Api) -> None:
    first = await asked(api)
    second = await wishes.start_deployment(await models.Application.get(id=first.application_id))
    await database().execute_query("update deployment set rung_at = null")
    await wishes.cancel(first)
    async with asyncio.timeout(5):
        while (await models.Deployment.get(id=second.id)).rung_at is None:
            await asyncio.sleep(0.02)


async def test_a_running_stage_is_stopped_with_all_its_processes_and_taken_back(api: Api, runtime: Runtime, tmp_path: Path) -> None:
    row, pids, undone = await asked(api), tmp_path / "pids", []

    async def work(run: Run) -> Stored:
        run.directory.mkdir(parents=True)
        await processes.run([sys.executable, "-c", STUBBORN, str(pids)], env={}, deadline=600)
        return {}

    async def undo(run: Run) -> None:
        undone.append(run.tag)

    running = asyncio.create_task(perform(runtime, Stage(StageName.cloning, work, 600, undo), row.id))
    async with asyncio.timeout(10):
        while not pids.exists() or len(pids.read_text().split()) < 2:
            await asyncio.sleep(0.02)
    started = [int(pid) for pid in pids.read_text().split()]
    assert all(Path(f"/proc/{pid}").exists() for pid in started)
    began = asyncio.get_running_loop().time()
    await wishes.cancel(row)
    await running
    assert asyncio.get_running_loop().time() - began < 15
    assert not any(_lives(pid) for pid in started)
    assert _lives(os.getpid())
    assert (undone, await endings(row.id)) == ([f"{row.id}-1"], ["cancelled"])
    assert list(runtime.work.iterdir()) == []
    stages = await models.Stage.filter(deployment_id=row.id).order_by("position")
    assert {stage.status.value for stage in stages} == {"skipped"}


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for its parent to look."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_stage_that_nobody_has_claimed_yet_is_cancelled_by_whoever_does(api: Api, runtime: Runtime) -> None:
    row, done = await asked(api), []
    assert await apply(Change(Event.start, row.id, worker="w", stage=StageName.cloning))
    assert await apply(Change(Event.hand_over, row.id, 1, "w", StageName.building))
    await wishes.cancel(row)

    async def work(run: Run) -> Stored:
        done.append("work")
        return {}

    async def undo(run: Run) -> None:
        done.append("undo")

    await perform(runtime, Stage(StageName.building, work, 5, undo), row.id)
    assert (done, await endings(row.id)) == (["undo"], ["cancelled"])


async def test_against_the_finish_exactly_one_wins(api: Api, runtime: Runtime) -> None:
    ends = []
    for round_ in range(30):
        made = await api.application(image="busybox:1")
        row = await wishes.start_deployment(await models.Application.get(id=made["id"]))
        begun = asyncio.Event()

        async def work(run: Run, begun: asyncio.Event = begun, pause: float = round_ * 0.002) -> Stored:
            begun.set()
            await asyncio.sleep(pause)
            return {"image": "x"}

        running = asyncio.create_task(perform(runtime, Stage(StageName.deploying, work, 5), row.id))
        await begun.wait()
        try:
            await wishes.cancel(row)
        except Contradiction as error:
            assert error.reason == "ALREADY_ENDED"
        await running
        ended = await endings(row.id)
        assert len(ended) == 1
        ends += ended
    assert set(ends) == {"success", "cancelled"}, "neither ever lost: this race shows nothing"


@pytest.mark.parametrize(("renewed", "seconds", "ends"), [(False, 5, True), (False, 2, False), (True, 5, False), (True, 10, True)])
async def test_the_reconciler_ends_what_its_worker_does_not(api: Api, runtime: Runtime, renewed: bool, seconds: int, ends: bool) -> None:
    row = await asked(api)
    assert await apply(Change(Event.start, row.id, worker="gone", stage=StageName.cloning))
    await wishes.cancel(row)
    times = "cancel_requested_at = now() - make_interval(secs => $2), lease_until = now() + make_interval(secs => $3)"
    lease = 30.0 if renewed else 29.0 - seconds
    await database().execute_query(f"update deployment set {times} where id = $1", [row.id, float(seconds), lease])
    await rescue.carry_out_cancellations(runtime)
    found = await models.Deployment.get(id=row.id)
    assert (found.status is DeploymentStatus.cancelled) is ends
    application = await models.Application.get(id=row.application_id)
    assert (application.wished > application.granted) is ends
    assert await apply(Change(Event.succeed, row.id, 1, "gone")) is None or not ends


async def test_what_is_too_old_has_failed(api: Api, runtime: Runtime) -> None:
    waiting, running, young = [await asked(api) for _ in range(3)]
    for row in (running, young):
        assert await apply(Change(Event.start, row.id, worker="w", stage=StageName.cloning))
    await database().execute_query("update deployment set created_at = now() - interval '25 hours' where id = $1", [waiting.id])
    await database().execute_query("update deployment set started_at = now() - interval '7 hours' where id = $1", [running.id])
    await reconcile.tick(runtime)
    rows = [await models.Deployment.get(id=row.id) for row in (waiting, running, young)]
    assert [(row.status.value, row.error_code) for row in rows] == [("failed", "TIMED_OUT"), ("failed", "TIMED_OUT"), ("cloning", None)]
