"""Workers that are killed or frozen while they clone, build and deploy: another one goes on, and nothing of theirs is left."""

import asyncio
import random
import time
from collections.abc import Callable

import psutil
import pytest

from models import StageName
from tests.faults.engine.rules import Rule
from tests.faults.held import Held, alone, hold
from tests.faults.installation import Installation, eventually
from tests.faults.part import Part
from tests.faults.source import Source

TAKEN_OVER_WITHIN = 45
LOST = "The worker was lost; another one goes on"
Tell = Callable[[str], None]


async def taken_over(installation: Installation, held: Held, since: float) -> float:
    """Wait until somebody else has a deployment. Seconds since `since`, as `time.time()`."""

    async def look() -> float | None:
        found = [event["at"] for event in await installation.events(held.deployment) if event["message"] == LOST]
        return found[0].timestamp() if found else None

    at = await eventually(look, within=TAKEN_OVER_WITHIN + 30)
    assert at
    return at - since


async def goes_on_without(installation: Installation, worker: Part, held: list[Held], seed: int, tell: Tell) -> None:
    """Kill a worker: what it held succeeds as the same deployment, and what it had started is gone."""
    descendants = worker.descendants()
    children = [each for each in descendants if each.ppid() == worker.pid]
    assert len(children) >= len(held)
    pid, killed = worker.pid, time.time()
    await worker.kill()
    assert await survivors(children, 5) == []
    for each in held:
        await each.release()
    for each in held:
        seconds = await taken_over(installation, each, killed)
        tell(f"killed worker {pid} while {each.stage}, seed {seed}: taken over after {seconds:.1f} s")
        assert seconds <= TAKEN_OVER_WITHIN
        row = await installation.succeeded(each.deployment)
        assert (row["attempt"], row["epoch"]) == (2, 2)
        deployments = await installation.servers.fetch("select id from deployment where application_id = $1", each.app.id)
        assert [str(row["id"]) for row in deployments] == [each.deployment]
    assert await survivors(descendants, 5) == []


async def survivors(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended after so many seconds."""
    _, alive = await asyncio.to_thread(lambda: psutil.wait_procs(processes, timeout=seconds))
    return list(alive)


async def test_what_a_killed_worker_was_cloning_building_and_deploying_is_taken_over(
    installation: Installation, source: Source, tell: Tell
) -> None:
    await alone(installation)
    held = [
        await hold(installation, source, StageName.deploying, nasty=True),
        await hold(installation, source, StageName.building, nasty=True),
        await hold(installation, source, StageName.cloning),
    ]
    await installation.running(installation.workers[1])
    rows = [await installation.row(each.deployment) for each in held]
    assert {installation.worker_of(row) for row in rows} == {installation.workers[0]}
    await goes_on_without(installation, installation.workers[0], held, 0, tell)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20))
async def test_a_worker_is_killed_at_any_moment_of_any_stage(seed: int, installation: Installation, source: Source, tell: Tell) -> None:
    chance = random.Random(seed)
    stage = list(StageName)[seed % len(StageName)]
    held = await hold(installation, source, stage, nasty=chance.random() < 0.5)
    await asyncio.sleep(chance.uniform(0, 5))
    worker = installation.worker_of(await installation.row(held.deployment))
    assert worker
    await goes_on_without(installation, worker, [held], seed, tell)


async def frozen(installation: Installation, source: Source, tell: Tell, *, leader: bool, seconds: float) -> None:
    """Freeze a worker that builds twice: one build ends while it is frozen, the other one goes on all the time."""
    held = [await hold(installation, source, StageName.building, times=1) for _ in range(2)]
    worker = installation.worker_of(await installation.row(held[0].deployment))
    assert worker
    if not leader:
        held = [each for each in held if installation.worker_of(await installation.row(each.deployment)) is worker]
    await installation.running(installation.workers[1])
    installation.stand_in.commands.output = lambda call: (
        [b"#9 written while frozen\n"] if call is held[0].call else [b"#9 written by another\n"]
    )
    begun = time.time()
    worker.freeze()
    await held[0].release()
    for each in held:
        seconds_to = await taken_over(installation, each, begun)
        tell(f"froze worker {worker.pid}{', the leader,' if leader else ''}: taken over after {seconds_to:.1f} s")
    await asyncio.sleep(max(0, begun + seconds - time.time()))
    for each in held:
        await installation.succeeded(each.deployment)
    before = {each.deployment: await installation.events(each.deployment) for each in held}
    assert all(any(event["message"] == "#9 written by another" for event in events) for events in before.values())
    worker.thaw()
    if len(held) > 1:
        await eventually(lambda: was_killed(held[1].rule), within=20)
    await asyncio.sleep(5)
    assert before == {each.deployment: await installation.events(each.deployment) for each in held}
    assert [child for child in worker.descendants() if child.is_running()] == []


async def was_killed(rule: Rule | None) -> bool:
    return bool(rule and rule.met[0].killed)


async def test_a_frozen_worker_that_leads_is_replaced_and_its_late_writes_are_refused(
    installation: Installation, source: Source, tell: Tell
) -> None:
    await alone(installation)
    await frozen(installation, source, tell, leader=True, seconds=35)


@pytest.mark.full
@pytest.mark.parametrize("leads", [True, False])
async def test_a_worker_that_is_frozen_for_a_minute_does_no_harm(
    leads: bool, installation: Installation, source: Source, tell: Tell
) -> None:
    await alone(installation, 0 if leads else 1)
    if not leads:
        await installation.running(installation.workers[0])
    await frozen(installation, source, tell, leader=leads, seconds=60)
