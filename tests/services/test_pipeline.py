"""A stage's frame, the reconciler and the doorbell, with stages that need no engine."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from redis import Redis

import models
from models import DeploymentKind, DeploymentStatus, StageName, StageStatus, background
from models.database import database
from models.settings import settings
from tests.services.conftest import Api
from workers import broker, journal, pipeline, reconcile, wishes
from workers.pipeline import perform
from workers.publishing import Publishing
from workers.run import Run, Stage, StageFailed, Stored
from workers.runtime import Runtime
from workers.states import Change, Event
from workers.transitions import apply

GIT = {"repoUrl": "https://example.com/a.git"}


@pytest.fixture
async def runtime(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A worker that has no Docker; the queue is empty."""
    monkeypatch.setattr(settings(), "data", tmp_path)
    queue().flushdb()
    return Runtime(cast("Any", None), cast("Any", None), publishing=Publishing.host, name="tester")


def queue() -> "Redis":
    return Redis.from_url(broker.queue_url(settings().redis_url))


def rung() -> list[tuple[str, str]]:
    """What waits in the queue, as (actor, id)."""
    import json

    messages = [queue().hgetall(f"dramatiq:{name}.msgs") for name in broker.QUEUES]
    found = [json.loads(body) for each in messages for body in cast("dict[bytes, bytes]", each).values()]
    return sorted((message["actor_name"], message["args"][0]) for message in found)


async def deployment(api: Api, **extra: Any) -> models.Deployment:
    made = await api.application(**{"gitSource": GIT, **extra})
    return await wishes.start_deployment(await models.Application.get(id=made["id"]))


async def settled() -> None:
    """Wait for the rings that are under way."""
    while background._under_way:
        await asyncio.gather(*background._under_way)


def declared(work: Callable[[Run], Awaitable[Stored]], name: StageName = StageName.cloning, deadline: float = 5) -> Stage:
    return Stage(name, work, deadline)


async def messages(id: UUID) -> list[str]:
    return [event.message for event in await models.Event.filter(deployment_id=id, kind="log").order_by("seq")]


async def test_a_wish_is_stored_with_its_snapshot_and_then_rung(api: Api, runtime: Runtime) -> None:
    made = await api.application(gitSource=GIT, envVars=[{"key": "A", "value": "hunter22", "isSecret": True}])
    answer = await api.owner.made(f"/applications/{made['id']}/deploy", {"branch": "dev", "force": True})
    await settled()
    row = await models.Deployment.get(id=answer["deploymentId"])
    assert (row.kind, row.status, row.branch, row.force, row.epoch) == (DeploymentKind.git, DeploymentStatus.pending, "dev", True, 0)
    assert row.snapshot["env_vars"][0]["value"] == "hunter22"
    raw = await database().execute_query_dict("select snapshot from deployment where id = $1", [row.id])
    assert "hunter22" not in raw[0]["snapshot"]
    assert rung() == [("clone", str(row.id))]


async def test_a_message_holds_ids_only_and_carries_the_rest_of_the_chain(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    await settled()
    bodies = cast("dict[bytes, bytes]", queue().hgetall(f"dramatiq:{broker.STAGES}.msgs"))
    text = next(iter(bodies.values())).decode()
    assert text.index('"clone"') < text.index('"build"') < text.index('"deploy"')
    assert text.count(str(row.id)) == 3
    assert "example.com" not in text


async def test_a_stage_starts_works_and_hands_over(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        run.journal.say("hello")
        run.journal.advance(10)
        await asyncio.sleep(0.3)
        return {"commit_sha": "a" * 40}

    await perform(runtime, declared(work), row.id)
    row = await models.Deployment.get(id=row.id)
    assert (row.status, row.worker, row.epoch, row.attempt) == (DeploymentStatus.building, None, 1, 1)
    assert (row.commit_sha, row.progress) == ("a" * 40, 10)
    stages = await models.Stage.filter(deployment_id=row.id).order_by("position")
    assert [stage.status for stage in stages] == [StageStatus.completed, StageStatus.pending, StageStatus.pending]
    assert await messages(row.id) == ["hello"]


async def test_the_last_stage_ends_the_deployment_and_rings_the_next(api: Api, runtime: Runtime) -> None:
    row = await deployment(api, gitSource=None)
    following = await wishes.start_deployment(await models.Application.get(id=row.application_id))
    await settled()
    queue().flushdb()

    async def work(run: Run) -> Stored:
        return {"image": "x"}

    await perform(runtime, declared(work, StageName.deploying), following.id)
    assert (await models.Deployment.get(id=following.id)).status is DeploymentStatus.pending, "its turn has not come"
    await perform(runtime, declared(work, StageName.deploying), row.id)
    row = await models.Deployment.get(id=row.id)
    assert (row.status, row.progress, row.image) == (DeploymentStatus.success, 100, "x")
    assert row.duration is not None
    assert (await models.Application.get(id=row.application_id)).status is models.ApplicationStatus.running
    assert rung() == [("deploy", str(following.id))]


async def test_a_failed_stage_says_why_and_skips_the_rest(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        run.directory.mkdir(parents=True)
        raise StageFailed("CLONE_FAILED", "There is no such repository.", ["fatal: not found"])

    await perform(runtime, declared(work), row.id)
    body = (await api.owner.get(f"/deployments/{row.id}")).json()
    assert body["status"] == "failed"
    assert body["error"] == {"code": "CLONE_FAILED", "message": "There is no such repository.", "output": "fatal: not found"}
    assert [stage["status"] for stage in body["stages"]] == ["failed", "skipped", "skipped"]
    assert (await models.Application.get(id=row.application_id)).status is models.ApplicationStatus.error
    assert not list(runtime.work.iterdir()), "the work directory is gone"


async def test_what_nobody_expected_fails_without_telling_internals(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        raise RuntimeError("password is hunter22")

    await perform(runtime, declared(work), row.id)
    body = (await api.owner.get(f"/deployments/{row.id}")).text
    assert "INTERNAL_ERROR" in body
    assert "hunter22" not in body


async def test_a_stage_that_never_ends_fails_at_its_deadline(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        await asyncio.Event().wait()
        return {}

    await perform(runtime, declared(work, deadline=0.2), row.id)
    assert (await models.Deployment.get(id=row.id)).error_code == "TIMED_OUT"


async def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    began, ended = asyncio.Event(), asyncio.Event()

    async def work(run: Run) -> Stored:
        began.set()
        try:
            while True:
                run.journal.say("still here")
                await asyncio.sleep(0.05)
        finally:
            ended.set()

    task = asyncio.create_task(perform(runtime, declared(work), row.id))
    await began.wait()
    await database().execute_query("update deployment set lease_until = now() - interval '1 second' where id = $1", [row.id])
    assert await apply(Change(Event.take_over, row.id, 1, stage=StageName.cloning))
    await asyncio.wait_for(task, 5)
    assert ended.is_set()
    row = await models.Deployment.get(id=row.id)
    assert (row.status, row.epoch, row.worker) == (DeploymentStatus.cloning, 2, None)


async def test_a_stopping_worker_hands_its_stage_back(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    began = asyncio.Event()

    async def work(run: Run) -> Stored:
        began.set()
        await asyncio.Event().wait()
        return {}

    task = asyncio.create_task(perform(runtime, declared(work), row.id))
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    row = await models.Deployment.get(id=row.id)
    assert (row.status, row.worker, row.attempt) == (DeploymentStatus.cloning, None, 1)


async def test_the_reconciler_rings_what_redis_forgot(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    await settled()
    queue().flushdb()
    await reconcile.tick(runtime)
    assert rung() == [("clone", str(row.id))]


async def test_the_reconciler_rings_again_for_what_a_worker_took_and_never_saw(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    await settled()
    await database().execute_query("update deployment set rung_at = null where id = $1", [row.id])
    await reconcile.tick(runtime)
    waiting = queue().lrange(f"dramatiq:{broker.STAGES}", 0, -1)
    assert len(cast("list[bytes]", waiting)) == 1, "what waits in the queue is not rung again"
    queue().lpop(f"dramatiq:{broker.STAGES}")
    assert rung() == [("clone", str(row.id))]
    await reconcile.tick(runtime)
    assert rung() == [("clone", str(row.id))] * 2


async def test_nonsense_in_the_queue_keeps_nobody_from_being_rung(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    await settled()
    queue().flushdb()
    for number, body in enumerate((b"{", b'{"args": ["a"], "x": ' + b"[" * 100_000, b'{"args": [1]}')):
        queue().hset(f"dramatiq:{broker.STAGES}.msgs", str(number), body)
        queue().rpush(f"dramatiq:{broker.STAGES}", str(number))
    await database().execute_query("update deployment set rung_at = null where id = $1", [row.id])
    await reconcile.tick(runtime)
    assert queue().llen(f"dramatiq:{broker.STAGES}") == 4


async def test_the_reconciler_rings_a_handed_over_stage_that_nobody_claims(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        return {}

    await perform(runtime, declared(work), row.id)
    await settled()
    queue().flushdb()
    await reconcile.tick(runtime)
    assert rung() == [("build", str(row.id))]
    assert (await models.Deployment.get(id=row.id)).attempt == 1


async def test_the_reconciler_clears_away_what_has_expired(api: Api, runtime: Runtime) -> None:
    past, user = datetime.now(UTC) - timedelta(hours=24, minutes=1), await models.User.get(id=api.owner.id)
    await models.Session.create(user=user, expires_at=past)
    for key in ("old", "new"):
        await models.KeptAnswer.create(user=user, key=key, fingerprint="", status=201, body=b"")
    await models.KeptAnswer.filter(key="old").update(created_at=past)
    await reconcile.tick(runtime)
    assert await models.Session.all().count() == 1
    assert await models.KeptAnswer.all().values_list("key", flat=True) == ["new"]


async def test_the_reconciler_takes_over_expired_leases_and_gives_up_after_three(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)
    for attempt in (1, 2, 3):
        event = Event.start if attempt == 1 else Event.claim
        assert await apply(Change(event, row.id, worker="gone", stage=StageName.cloning))
        assert (await models.Deployment.get(id=row.id)).attempt == attempt
        await reconcile.tick(runtime)
        assert (await models.Deployment.get(id=row.id)).worker == "gone", "a living lease is left alone"
        await database().execute_query("update deployment set lease_until = now() - interval '1 second' where id = $1", [row.id])
        await reconcile.tick(runtime)
    row = await models.Deployment.get(id=row.id)
    assert (row.status, row.error_code) == (DeploymentStatus.failed, "WORKER_LOST")


async def test_one_bad_row_never_stops_the_reconciler(api: Api, runtime: Runtime) -> None:
    bad, good = await deployment(api), await deployment(api)
    await settled()
    queue().flushdb()
    await database().execute_query("update deployment set status = 'building', kind = 'image' where id = $1", [bad.id])
    await reconcile.tick(runtime)
    assert rung() == [("clone", str(good.id))]


async def test_a_wish_is_taken_while_redis_is_away(api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "redis_url", "unix:///nowhere.sock")
    broker.doorbell.cache_clear()
    row = await deployment(api)
    await settled()
    assert (await models.Deployment.get(id=row.id)).status is DeploymentStatus.pending
    broker.doorbell.cache_clear()


async def test_a_dropped_connection_costs_no_line_and_no_stage(api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    row, hiccups, stored = await deployment(api), [ConnectionError("gone")] * 2, journal.append

    async def flaky(*arguments: Any, **options: Any) -> bool:
        await asyncio.sleep(0.05)
        if hiccups:
            raise hiccups.pop()
        return await stored(*arguments, **options)

    monkeypatch.setattr(journal, "append", flaky)
    monkeypatch.setattr(journal, "AWAY_PAUSE", 0.01)

    async def work(run: Run) -> Stored:
        for number in range(8):
            run.journal.say(f"line {number}")
            await asyncio.sleep(0.06)
        return {}

    await perform(runtime, declared(work), row.id)
    assert hiccups == []
    assert await messages(row.id) == [f"line {number}" for number in range(8)]
    assert (await models.Deployment.get(id=row.id)).status is DeploymentStatus.building


async def test_a_log_without_end_is_cut(api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST_LINES", 700)
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        for number in range(5000):
            run.journal.say(str(number))
        return {}

    await perform(runtime, declared(work), row.id)
    said = await messages(row.id)
    assert said[-2:] == ["699", "… the log of this stage is cut here"]


async def test_secrets_never_reach_the_log(api: Api, runtime: Runtime) -> None:
    row = await deployment(api, envVars=[{"key": "A", "value": "hunter 22&", "isSecret": True}])

    async def work(run: Run) -> Stored:
        for line in ("plain hunter 22&", "encoded hunter%2022%26", "base64 aHVudGVyIDIyJg==", "visible"):
            run.journal.say(line)
        raise StageFailed("X", "it was hunter 22&", ["hunter 22&"])

    await perform(runtime, declared(work), row.id)
    said = await messages(row.id)
    assert said[:4] == ["plain [redacted]", "encoded [redacted]", "base64 [redacted]", "visible"]
    body = (await api.owner.get(f"/deployments/{row.id}")).text
    assert "hunter 22&" not in body


async def test_progress_never_goes_back(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        for percent in (30, 10, 50, 20):
            run.journal.advance(percent)
            await run.journal.flush()
        return {}

    await perform(runtime, declared(work), row.id)
    told = [event.progress for event in await models.Event.filter(deployment_id=row.id).order_by("seq")]
    assert told == sorted(told)
    assert told[-1] == 50


async def test_a_stage_that_is_not_the_deployments_is_dropped(api: Api, runtime: Runtime) -> None:
    row = await deployment(api)

    async def work(run: Run) -> Stored:
        raise AssertionError("it must not run")

    for name in (StageName.building, StageName.deploying):
        await perform(runtime, declared(work, name), row.id)
    await perform(runtime, declared(work), UUID(int=1))
    assert (await models.Deployment.get(id=row.id)).status is DeploymentStatus.pending


async def test_the_lease_is_renewed_while_a_stage_runs(api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "RENEWAL", 0.1)
    monkeypatch.setattr(pipeline, "LOOK", 0.05)
    row = await deployment(api)
    leases: list[object] = []

    async def work(run: Run) -> Stored:
        for _ in range(3):
            leases.append((await models.Deployment.get(id=row.id)).lease_until)
            await asyncio.sleep(0.25)
        return {}

    await perform(runtime, declared(work), row.id)
    assert len(set(leases)) == 3
