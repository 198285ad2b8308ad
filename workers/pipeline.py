"""A stage's frame: row, lease, log, events, timing and failure come from here; the stage itself only does its work.

@stage(StageName.cloning, deadline=600)
async def clone(run: Run) -> Stored: ...
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from tortoise.exceptions import IntegrityError

import models
from models import DeploymentStatus, LogLevel, StageName
from models.database import AWAY
from workers import rings
from workers.journal import AWAY_PAUSE, Journal, LeaseLost
from workers.runtime import Runtime
from workers.states import LEASE, TASK_GRAPHS, Change, Event, apply

log = structlog.get_logger()

RENEWAL = 10.0
"""Seconds between two renewals of the lease."""
PERSISTENCE = 25.0
"""Seconds for which the end of a stage is tried to be stored while the database is away."""

LONGEST_OUTPUT = 16_000
"""Characters kept of what a failed stage printed last."""

Stored = Mapping[str, Any]
"""Columns of the deployment that a stage's result is stored in."""


class StageFailed(Exception):
    """The stage cannot succeed: a code, a sentence the user can act on, and the last lines of what failed."""

    def __init__(self, code: str, message: str, output: tuple[str, ...] | list[str] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.output = code, message, tuple(output)


@dataclass(frozen=True)
class Stage:
    """One stage of a task graph: its name, its work, and after how many seconds it has failed."""

    name: StageName
    work: Callable[["Run"], Awaitable[Stored]]
    deadline: float

    @property
    def actor(self) -> str:
        """The name of its actor."""
        return rings.ACTORS[self.name]


def stage(name: StageName, *, deadline: float) -> Callable[[Callable[["Run"], Awaitable[Stored]]], Stage]:
    """Declare a stage."""
    return lambda work: Stage(name, work, deadline)


@dataclass(frozen=True)
class Run:
    """One attempt at one stage of a deployment. Side effects are named after (deployment, epoch)."""

    runtime: Runtime
    deployment: models.Deployment
    stage: StageName
    journal: Journal

    @property
    def config(self) -> dict[str, Any]:
        """The configuration frozen when the deployment was asked for."""
        snapshot: dict[str, Any] = self.deployment.snapshot
        return snapshot

    @property
    def tag(self) -> str:
        """`<deployment>-<epoch>`."""
        return f"{self.deployment.id}-{self.deployment.epoch}"

    @property
    def directory(self) -> Path:
        """The work directory."""
        return self.runtime.work / self.tag

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that this run makes."""
        return {
            "dokploy.application": str(self.deployment.application_id),
            "dokploy.deployment": str(self.deployment.id),
            "dokploy.epoch": str(self.deployment.epoch),
        }

    def change(self, event: Event, *, message: str = "", stage: StageName | None = None, store: Stored | None = None) -> Change:
        """A change that only the holder of this run may make."""
        return Change(event, self.deployment.id, self.deployment.epoch, self.runtime.name, stage or self.stage, message, store or {})

    async def still_held(self) -> None:
        """Look once more before something outside is touched. Raises `LeaseLost`."""
        if await apply(self.change(Event.renew)) is None:
            raise LeaseLost


def secrets_of(config: Mapping[str, Any]) -> list[str]:
    """The values that may never reach a log."""
    return [each["value"] for each in config.get("env_vars") or [] if each["is_secret"]]


async def _entered(runtime: Runtime, name: StageName, id: UUID) -> Run | None:
    """Start the deployment or claim its stage; None when it is not its turn, or somebody else was faster."""
    deployment = await models.Deployment.get_or_none(id=id)
    if deployment is None:
        return None
    first = deployment.status is DeploymentStatus.pending
    if first and TASK_GRAPHS[deployment.kind][0] is not name:
        return None
    event = Event.start if first else Event.claim
    message = name.value.capitalize()
    if await apply(Change(event, id, worker=runtime.name, stage=name, message=message)) is None:
        return None
    deployment = await models.Deployment.get(id=id)
    journal = Journal(id, deployment.epoch, runtime.name, secrets_of(deployment.snapshot), deployment.progress)
    return Run(runtime, deployment, name, journal)


async def perform(runtime: Runtime, declared: Stage, id: UUID) -> None:
    """One message: enter the stage, work, store how it ended. Whatever happens, the deployment is not left in between."""
    if runtime.stopping:
        return
    try:
        run = await _entered(runtime, declared.name, id)
    except IntegrityError:
        return
    if run is None:
        return
    started = asyncio.get_running_loop().time()
    ended = asyncio.Event()
    work = asyncio.create_task(_within(declared, run))
    renewal, journal = asyncio.create_task(_renew(run)), asyncio.create_task(run.journal.run(ended))
    try:
        await asyncio.wait([work, renewal, journal], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
        await asyncio.wait([work])
    except asyncio.CancelledError:
        if not work.done():
            await _stopped(work)
            await _persist(run, run.change(Event.hand_back, message="The worker stops; another one goes on"))
            return
    finally:
        ended.set()
        await _stopped(renewal)
        await _reported(journal)
    await asyncio.shield(_conclude(run, declared, work))
    log.info(
        "pipeline.stage_over", deployment=str(id), stage=declared.name.value, seconds=round(asyncio.get_running_loop().time() - started, 2)
    )


async def _stopped(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _reported(journal: "asyncio.Task[None]") -> None:
    """Wait for the journal's end; what it met beside a lost lease is for the worker's own log."""
    (outcome,) = await asyncio.gather(journal, return_exceptions=True)
    if isinstance(outcome, Exception) and not isinstance(outcome, LeaseLost):
        log.error("pipeline.journal", exc_info=outcome)


async def _within(declared: Stage, run: Run) -> Stored:
    try:
        async with asyncio.timeout(declared.deadline):
            return await declared.work(run)
    except TimeoutError as error:
        raise StageFailed("TIMED_OUT", f"The stage took longer than {declared.deadline:.0f} seconds.", run.journal.last) from error


async def _renew(run: Run) -> None:
    """Keep the lease until it is lost; while the database is away, as long as the lease still lasts."""
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + LEASE, RENEWAL
    while True:
        await asyncio.sleep(pause)
        asked = loop.time()
        try:
            await run.still_held()
        except AWAY as error:
            log.warning("pipeline.database_away", error=str(error))
            if asked > until:
                raise LeaseLost from error
            pause = AWAY_PAUSE
        else:
            until, pause = asked + LEASE, RENEWAL


async def _conclude(run: Run, declared: Stage, work: "asyncio.Task[Stored]") -> None:
    """Store how the stage ended; what was lost is only cleaned up."""
    error = None if work.cancelled() else work.exception()
    if work.cancelled() or isinstance(error, LeaseLost):
        log.warning("pipeline.lease_lost", deployment=str(run.deployment.id), stage=declared.name.value)
        await _clean(run)
        return
    if error is None:
        await _succeeded(run, work.result())
        return
    if not isinstance(error, StageFailed):
        log.error("pipeline.unexpected", deployment=str(run.deployment.id), exc_info=error)
        error = StageFailed("INTERNAL_ERROR", "The worker met an unexpected problem; its log has the details.")
    message, output = run.journal.redact(error.message), run.journal.redact("\n".join(error.output))
    run.journal.say(message, LogLevel.error)
    store = {"error_code": error.code, "error_message": message, "error_output": output[-LONGEST_OUTPUT:]}
    await _persist(run, run.change(Event.fail, message=message, store=store))
    await _ended(run)


async def _succeeded(run: Run, stored: Stored) -> None:
    graph = TASK_GRAPHS[run.deployment.kind]
    following = graph[graph.index(run.stage) + 1 :]
    if following:
        await _persist(
            run, run.change(Event.hand_over, stage=following[0], message=f"{run.stage.value.capitalize()} is done", store=stored)
        )
        return
    await _persist(run, run.change(Event.succeed, message="Deployed", store=stored))
    await _ended(run)


async def _persist(run: Run, change: Change) -> None:
    """Store the end of a stage, again and again while the database is away."""
    give_up = asyncio.get_running_loop().time() + PERSISTENCE
    while True:
        try:
            try:
                await run.journal.drain()
            except LeaseLost:
                await _clean(run)
                return
            await apply(change)
            return
        except AWAY as error:
            log.warning("pipeline.database_away", error=str(error))
            if asyncio.get_running_loop().time() > give_up:
                return
            await asyncio.sleep(AWAY_PAUSE)


async def _ended(run: Run) -> None:
    await _clean(run)
    await rings.ring_next(run.deployment.application_id)


async def _clean(run: Run) -> None:
    await asyncio.to_thread(shutil.rmtree, run.directory, ignore_errors=True)
