"""Garbage in the queue and in the rows: workers say so and go on."""

import asyncio
import json
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from models import StageName
from tests.faults.held import hold
from tests.faults.installation import Installation, eventually
from tests.faults.source import Source

Tell = Callable[[str], None]


def message(actor: str, *args: object, **changes: object) -> bytes:
    """A message as Dramatiq keeps it."""
    id = str(uuid4())
    options = {"redis_message_id": id, "pipe_ignore": True}
    told = {"queue_name": "stages", "actor_name": actor, "args": args, "kwargs": {}, "options": options, "message_id": id}
    return json.dumps(told | {"message_timestamp": 0} | changes).encode()


GARBAGE = {
    "no JSON": b"\x80\x04garbage",
    "no message": b'{"hello": "world"}',
    "not an object": b"[1, 2, 3]",
    "an actor of another version": message("provision", str(uuid4())),
    "an id of nothing": message("clone", str(uuid4())),
    "no id": message("clone", "../../etc/passwd"),
    "a number": message("build", 12345),
    "data, as an older version sent it": message("deploy", {"image": "x:1", "service": "y"}, 3),
    "too few arguments": message("deploy"),
    "a date of the future": message("clone", str(uuid4()), message_timestamp=4_102_444_800_000),
}


async def queued(installation: Installation, queue: str, bodies: list[bytes | None]) -> list[str]:
    """Put messages into a queue; None is one without a body. Their ids."""
    ids = [str(uuid4()) for _ in bodies]
    async with installation.servers.redis(1) as client:
        for id, body in zip(ids, bodies, strict=True):
            if body is not None:
                await client.hset(f"dramatiq:{queue}.msgs", id, body)
            await client.rpush(f"dramatiq:{queue}", id)
    return ids


async def taken(installation: Installation, queue: str) -> bool:
    """Whether nothing waits in a queue any more."""
    async with installation.servers.redis(1) as client:
        return bool(await client.llen(f"dramatiq:{queue}") == 0)


@pytest.mark.parametrize("queue", ["stages", "wishes"])
async def test_garbage_in_the_queue_is_reported_and_passed_over(queue: str, installation: Installation, source: Source, tell: Tell) -> None:
    began = time.time()
    pids = [worker.pid for worker in installation.workers]
    await queued(installation, queue, [*GARBAGE.values(), None])
    async with installation.servers.redis(1) as client:
        await client.set("somebody:elses", "x")
        await client.lpush("dramatiq:other-queue", "x")
    await eventually(lambda: taken(installation, queue), within=60)  # after each that cannot be read Dramatiq pauses for three seconds
    app = await installation.app(gitSource=source.git)
    asked = time.time()
    await installation.succeeded(await installation.deploy(app), within=30)
    tell(f"{len(GARBAGE) + 1} messages of garbage in {queue}: the next deployment took {time.time() - asked:.1f} s")
    reported = installation.logged(since=began)
    assert any(told["event"] == "worker.dropped" and "etc/passwd" in str(told) for told in reported)
    assert [worker.pid for worker in installation.workers if worker.runs] == pids


async def test_a_good_message_that_is_taken_together_with_garbage_is_not_lost(
    installation: Installation, source: Source, tell: Tell
) -> None:
    app = await installation.app(gitSource=source.git)
    for worker in installation.workers:
        assert await worker.stop() == 0
    id = await installation.deploy(app)
    await eventually(lambda: waits(installation))
    async with installation.servers.redis(1) as client:
        await client.hset("dramatiq:stages.msgs", "garbage", GARBAGE["no JSON"])
        await client.lpush("dramatiq:stages", "garbage")
    began = time.time()
    await installation.running(installation.workers[0])
    await installation.succeeded(id, within=45)
    tell(f"a good message behind garbage: success after {time.time() - began:.1f} s")


async def waits(installation: Installation) -> bool:
    """Whether anything waits in the queue of the stages."""
    return not await taken(installation, "stages")


async def test_a_queue_of_the_wrong_type_does_not_stop_the_workers(installation: Installation, source: Source) -> None:
    began = time.time()
    app = await installation.app(gitSource=source.git)
    async with installation.servers.redis(1) as client:
        for key in ("dramatiq:stages", "dramatiq:stages.msgs"):
            await client.delete(key)
            await client.set(key, "neither a list nor a hash")
        id = await installation.deploy(app)
        await asyncio.sleep(3)
        assert (await installation.row(id))["status"] == "pending"
        await client.delete("dramatiq:stages", "dramatiq:stages.msgs")
    await installation.succeeded(id, within=60)
    assert installation.logged(*installation.gateways, since=began)


PENDING = {
    "a snapshot that cannot be read": ("update deployment set snapshot = 'garbage' where id = $1", ("failed",)),
    "a snapshot of another kind": (
        "update deployment set snapshot = (select env_vars from application limit 1) where id = $1",
        ("failed",),
    ),
    "a negative epoch": ("update deployment set epoch = -5 where id = $1", ("success", "failed")),
    "no stages": ("delete from stage where deployment_id = $1", ("success",)),
}
LEASES = {
    "of 1970": ("update deployment set worker = 'nobody-1-abc', lease_until = 'epoch' where id = $1", "success", None),
    "of 1970, for the last time": (
        "update deployment set worker = 'nobody', lease_until = 'epoch', attempt = 3 where id = $1",
        "failed",
        "WORKER_LOST",
    ),
    "of a worker and without an end": ("update deployment set worker = 'nobody', lease_until = null where id = $1", "success", None),
}


@pytest.mark.parametrize("nonsense", PENDING)
async def test_nonsense_in_a_row_that_waits_ends_it_and_nothing_else(nonsense: str, installation: Installation, source: Source) -> None:
    wrong, outcomes = PENDING[nonsense]
    began = time.time()
    held = await hold(installation, source, StageName.building)
    id = await installation.deploy(held.app)
    await installation.servers.fetch(wrong, id)
    other = await installation.app(gitSource=source.git)
    await installation.succeeded(await installation.deploy(other))
    await held.release()
    await installation.succeeded(held.deployment)
    row = await installation.ended(id, within=45)
    assert row["status"] in outcomes
    assert row["status"] == "success" or [told for told in installation.logged(since=began) if id in str(told) and told["level"] == "error"]
    await installation.succeeded(await installation.deploy(held.app))
    assert (await installation.owner.delete(f"/applications/{held.app.id}")).status_code == 204


@pytest.mark.parametrize("nonsense", LEASES)
async def test_a_lease_of_nobody_is_taken_over_or_ended(nonsense: str, installation: Installation, source: Source) -> None:
    wrong, outcome, code = LEASES[nonsense]
    held = await hold(installation, source, StageName.building, times=1)
    await installation.servers.fetch(wrong, held.deployment)
    other = await installation.app(gitSource=source.git)
    await installation.succeeded(await installation.deploy(other))
    row = await installation.ended(held.deployment, within=60)
    assert (row["status"], row["error_code"]) == (outcome, code)
    assert held.call.killed
    await installation.succeeded(await installation.deploy(held.app))


async def test_nonsense_for_a_status_is_set_right_and_hinders_nobody(installation: Installation, source: Source) -> None:
    apps = [await installation.app(gitSource=source.git) for _ in range(2)]
    for app in apps:
        await installation.succeeded(await installation.deploy(app))
        await installation.servers.fetch("update application set status = 'nonsense' where id = $1", app.id)
    right = "select count(*) = 2 from application where id = any($1) and status = 'running' and health_status = 'healthy'"

    async def look() -> bool:
        return bool(await installation.servers.value(right, [app.id for app in apps]))

    await eventually(look)


async def test_a_service_of_which_nothing_has_succeeded_is_removed(installation: Installation, source: Source) -> None:
    app = await installation.app(gitSource=source.git)
    id = await installation.deploy(app)
    await installation.succeeded(id)
    assert app.service in installation.stand_in.swarm.services
    await installation.servers.fetch("delete from deployment where id = $1", id)

    async def look() -> bool:
        return app.service not in installation.stand_in.swarm.services

    await eventually(look)
