"""Cancelling in every stage, whatever became of the worker: it ends in time and once, nothing of it is left, the version before serves."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from models import StageName
from tests.docker.sample import HEALTHCHECK, dockerfile
from tests.faults.engine import Call
from tests.faults.held import alone, hold
from tests.faults.installation import App, Installation, eventually
from tests.faults.load import ask
from tests.faults.part import Part
from tests.faults.source import Source

WITHIN = 15
"""Seconds from the request to the end (PIPELINE)."""
PATIENT = HEALTHCHECK.replace("--retries=2", "--retries=99").rpartition(" CMD ")[0] + " CMD false"
"""A health check that does not pass for as long as a test lasts."""
_LEADER = "select pid from pg_locks where locktype = 'advisory' and granted"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Scene:
    """A deployment that will not go on by itself, the command that it waits for, and the version before."""

    name: str
    app: App
    deployment: str
    call: Call | None = None
    before: str | None = None


async def scenes(installation: Installation, source: Source) -> list[Scene]:
    """One deployment for each place where it can be cancelled, all of them held by the one worker that runs; the last one waits."""
    served = [await installation.app(gitSource=source.git) for _ in range(2)]
    before = [await installation.deploy(app) for app in served]
    for id in before:
        await installation.succeeded(id)
    building = await hold(installation, source, StageName.building, nasty=True)
    creating = await hold(installation, source, StageName.deploying, nasty=True)
    rule = installation.stand_in.rules.hold("service update", nasty=True, when=lambda call: call.service == served[0].service)
    updating = await installation.deploy(served[0])
    updates = await rule.begun()
    source.sample.commit(Dockerfile=dockerfile(PATIENT))
    sick = await installation.deploy(served[1])
    await eventually(lambda: _carries(installation, served[1], sick))
    cloning = await hold(installation, source, StageName.cloning)
    waiting = await installation.deploy(building.app)
    return [
        Scene("cloning", cloning.app, cloning.deployment),
        Scene("building", building.app, building.deployment, building.call),
        Scene("creating the service", creating.app, creating.deployment, creating.call),
        Scene("updating the service", served[0], updating, updates, before[0]),
        Scene("waiting for a health check", served[1], sick, None, before[1]),
        Scene("queued", building.app, waiting),
    ]


async def _carries(installation: Installation, app: App, deployment: str) -> bool:
    return bool(installation.stand_in.swarm.services[app.service].spec["Labels"]["dokploy.deployment"] == deployment)


async def cancelled(installation: Installation, scene: Scene, whose: str, tell: Tell) -> float:
    """Cancel, and wait until it has ended, once. Seconds."""
    asked = time.time()
    answer = await ask(installation, "POST", f"/deployments/{scene.deployment}/cancel", gateway=1, json={})
    assert answer.status == 202, answer
    row = await installation.ended(scene.deployment, within=4 * WITHIN)
    seconds = float(row["finished_at"].timestamp() - asked)
    tell(f"cancelled while {scene.name} by {whose}: {row['status']} after {seconds:.1f} s")
    assert row["status"] == "cancelled"
    endings = [event["status"] for event in await installation.events(scene.deployment) if event["status"] == "cancelled"]
    assert endings == ["cancelled"]
    return seconds


async def all_cancelled(installation: Installation, found: list[Scene], whose: str, tell: Tell) -> None:
    """Cancel everything at once; nobody may take up again what has just waited behind it."""
    *running, waiting = found
    took = [await cancelled(installation, waiting, whose, tell)]
    took += await asyncio.gather(*(cancelled(installation, scene, whose, tell) for scene in running))
    assert max(took) <= WITHIN
    for scene in found:
        await eventually(lambda scene=scene: as_before(installation, scene), within=20)  # type: ignore[misc]


async def as_before(installation: Installation, scene: Scene) -> bool:
    """Whether exactly the version before serves, or nothing when there was none."""
    service = installation.stand_in.swarm.services.get(scene.app.service)
    if service is None or scene.before is None:
        return service is scene.before
    tasks = [task for task in service.tasks if task.state == "running"]
    return [task.template["ContainerSpec"]["Labels"]["dokploy.deployment"] for task in tasks] == [scene.before]


async def ended_by_force(found: list[Scene]) -> bool:
    """Whether the commands that were under way have been killed."""
    return all(scene.call.killed for scene in found if scene.call is not None)


async def prepared(installation: Installation, source: Source) -> tuple[Part, list[Scene]]:
    """The scenes, held by a worker beside which another one runs."""
    await alone(installation)
    found = await scenes(installation, source)
    await installation.running(installation.workers[1])
    rows = [await installation.row(scene.deployment) for scene in found[:-1]]
    assert {installation.worker_of(row) for row in rows} == {installation.workers[0]}
    assert not any(scene.call.killed for scene in found if scene.call is not None)
    return installation.workers[0], found


async def test_what_a_living_worker_does_is_cancelled(installation: Installation, source: Source, tell: Tell) -> None:
    _, found = await prepared(installation, source)
    await all_cancelled(installation, found, "a living worker", tell)
    assert await ended_by_force(found)
    assert sum(scene.call is not None for scene in found) == 3


async def test_what_a_killed_worker_did_is_cancelled(installation: Installation, source: Source, tell: Tell) -> None:
    worker, found = await prepared(installation, source)
    await worker.kill()
    await all_cancelled(installation, found, "a killed worker", tell)
    assert await ended_by_force(found)


async def passed_on(installation: Installation, leader: Part) -> None:
    """Let the other worker lead."""
    before = await installation.servers.value(_LEADER)
    assert before
    leader.freeze()
    await installation.servers.fetch("select pg_terminate_backend($1)", before)

    async def another() -> bool:
        return await installation.servers.value(_LEADER) not in (None, before)

    await eventually(another)
    leader.thaw()


@pytest.mark.parametrize("leads", [False, True], ids=["one of many", "the leader"])
async def test_what_a_frozen_worker_does_is_cancelled(leads: bool, installation: Installation, source: Source, tell: Tell) -> None:
    worker, found = await prepared(installation, source)
    if not leads:
        await passed_on(installation, worker)
    worker.freeze()
    await all_cancelled(installation, found, "a frozen leader" if leads else "a frozen worker", tell)
    ends = {scene.deployment: await installation.events(scene.deployment) for scene in found}
    assert not await ended_by_force(found)
    worker.thaw()
    await eventually(lambda: ended_by_force(found), within=20)
    await asyncio.sleep(2)
    assert ends == {scene.deployment: await installation.events(scene.deployment) for scene in found}


@dataclass
class Race:
    """The moment at which cancelling comes as often too late as not, found by looking who wins; all applications look for the one."""

    chance: random.Random
    delay: float = 0.2

    async def run(self, installation: Installation, app: App) -> dict[str, Any]:
        """Release a build, cancel it about when it ends, and give the deployment as it ended."""
        rule = installation.stand_in.rules.hold("build", times=1, when=lambda call: call.labels().get("dokploy.application") == app.id)
        id = await installation.deploy(app)
        await rule.begun()
        rule.release()
        await asyncio.sleep(self.delay * self.chance.uniform(0.5, 1.5))
        answer = await ask(installation, "POST", f"/deployments/{id}/cancel", gateway=self.chance.randrange(2), json={})
        row = await installation.ended(id)
        assert (answer.status, row["status"]) in ((202, "cancelled"), (202, "success"), (409, "success"))
        endings = [event["status"] for event in await installation.events(id) if event["status"] in ("success", "failed", "cancelled")]
        assert endings == [row["status"]]
        self.delay *= 1.4 if row["status"] == "cancelled" else 1 / 1.4
        return row


async def races(installation: Installation, source: Source, tell: Tell, rounds: int) -> None:
    apps = [await installation.app(gitSource=source.git) for _ in range(4)]
    race = Race(random.Random(rounds))

    async def one(number: int) -> list[dict[str, Any]]:
        return [await race.run(installation, apps[number]) for _ in range(rounds // len(apps))]

    all_rows = await asyncio.gather(*(one(number) for number in range(len(apps))))
    rows = [row for found in all_rows for row in found]
    outcomes = Counter(row["status"] for row in rows)
    asked = sum(row["cancel_requested_at"] is not None and row["status"] == "success" for row in rows)
    tell(f"cancel against the finish, {len(rows)} rounds: {dict(outcomes)}; {asked} of the successes had been asked to end")
    assert outcomes.keys() == {"success", "cancelled"}
    assert outcomes.total() == rounds
    for app, found in zip(apps, all_rows, strict=True):
        await eventually(lambda app=app, found=found: serves_the_last(installation, app, found), within=20)  # type: ignore[misc]


async def serves_the_last(installation: Installation, app: App, rows: list[dict[str, Any]]) -> bool:
    """Whether the last of these that succeeded is what serves."""
    last = [str(row["id"]) for row in rows if row["status"] == "success"][-1:]
    return await as_before(installation, Scene("", app, "", None, last[0] if last else None))


async def test_either_the_finish_or_the_cancellation_wins(installation: Installation, source: Source, tell: Tell) -> None:
    await races(installation, source, tell, 20)


@pytest.mark.full
async def test_either_the_finish_or_the_cancellation_wins_two_hundred_times(installation: Installation, source: Source, tell: Tell) -> None:
    await races(installation, source, tell, 200)
