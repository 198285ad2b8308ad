"""A stage's frame: row, lease, log, events, timing, cancellation and failure come from here; the stage itself only does its work."""

import asyncio
import shutil
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from tortoise.exceptions import IntegrityError

import models
from models import DeploymentStatus, LogLevel, StageName
from models.database import AWAY
from workers import rings
from workers.desired import secrets_of
from workers.journal import CancelRequested, Journal, LeaseLost
from workers.patience import patiently
from workers.run import Run, Stage, StageFailed, Stored
from workers.runtime import Runtime
from workers.states import LEASE, TASK_GRAPHS, Change, Event
from workers.transitions import apply

log = structlog.get_logger()

RENEWAL = 10.0
"""Seconds between two renewals of the lease."""
LOOK = 1.0
"""Seconds between two looks whether the deployment is still this worker's, and wanted."""
UNDOING = 10.0
"""Seconds that taking back may take; what is left then the reconciler finds."""
PERSISTENCE = 25.0
"""Seconds for which the end of a stage is tried to be stored while the database is away."""

LONGEST_OUTPUT = 16_000
"""Characters kept of what a failed stage printed last."""


async def _entered(runtime: Runtime, name: StageName, id: UUID) -> Run | None:
    """Start the deployment or claim its stage; None when it is not its turn, or somebody else was faster."""
    known = await models.Deployment.get_or_none(id=id).only("id", "status", "kind")
    if known is None:
        return None
    first = known.status is DeploymentStatus.pending
    if first and TASK_GRAPHS[known.kind][0] is not name:
        return None
    event = Event.start if first else Event.claim
    entered = await apply(Change(event, id, worker=runtime.name, stage=name, message=name.value.capitalize()))
    if entered is None:
        return None
    try:
        deployment = await models.Deployment.get(id=id)
        secrets = secrets_of(deployment.snapshot)
    except AWAY:
        raise
    except Exception as error:
        await _unreadable(runtime, entered, error)
        return None
    journal = Journal(id, deployment.epoch, runtime.name, secrets, deployment.progress)
    return Run(runtime, deployment, name, journal)


async def _unreadable(runtime: Runtime, entered: Mapping[str, Any], error: Exception) -> None:
    """End a deployment whose row makes no sense."""
    log.error("pipeline.unreadable", deployment=str(entered["id"]), error=repr(error))
    message = "The stored configuration cannot be read."
    store = {"error_code": "INTERNAL_ERROR", "error_message": message}
    await apply(Change(Event.fail, entered["id"], entered["epoch"], runtime.name, message=message, store=store))
    await rings.ring_next(entered["application_id"])


async def perform(runtime: Runtime, declared: Stage, id: UUID) -> None:
    """One message: enter the stage, work, store how it ended. Whatever happens, the deployment is not left in between."""
    if runtime.stopping:
        return
    entering = asyncio.create_task(_entered(runtime, declared.name, id))
    stopped = await _finished(entering)
    if isinstance(entering.exception(), IntegrityError) or (run := entering.result()) is None:
        return
    if stopped:
        await _persist(run, run.change(Event.hand_back, message="The worker stops; another one goes on"))
        return
    started = asyncio.get_running_loop().time()
    ended = asyncio.Event()
    work = asyncio.create_task(_within(declared, run))
    watch, journal = asyncio.create_task(_watch(run)), asyncio.create_task(run.journal.run(ended))
    try:
        await asyncio.wait([work, watch, journal], return_when=asyncio.FIRST_COMPLETED)
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
        await _stopped(watch)
        await _reported(journal)
    await _finished(asyncio.create_task(_conclude(run, declared, work, watch)))
    log.info(
        "pipeline.stage_over", deployment=str(id), stage=declared.name.value, seconds=round(asyncio.get_running_loop().time() - started, 2)
    )


async def _finished(task: "asyncio.Task[Any]") -> bool:
    """Wait for the end of what must not be left in the middle, also when this worker is told to stop meanwhile. Whether it was."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        return True
    return False


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
    if run.deployment.cancel_requested_at is not None:
        raise CancelRequested
    try:
        async with asyncio.timeout(declared.deadline):
            return await declared.work(run)
    except TimeoutError as error:
        raise StageFailed("TIMED_OUT", f"The stage took longer than {declared.deadline:.0f} seconds.", run.journal.last) from error


async def _watch(run: Run) -> None:
    """Keep the lease until it is lost, while the database is away as long as it still lasts.

    Raises `LeaseLost`, and `CancelRequested` once that is known.
    """
    loop = asyncio.get_running_loop()
    renewed = loop.time()
    while True:
        await asyncio.sleep(LOOK)
        asked = loop.time()
        try:
            if asked - renewed >= RENEWAL or await run.is_questioned():
                await run.still_held()
                renewed = asked
        except AWAY as error:
            log.warning("pipeline.database_away", error=str(error))
            if asked > renewed + LEASE:
                raise LeaseLost from error


async def _conclude(run: Run, declared: Stage, work: "asyncio.Task[Stored]", watch: "asyncio.Task[None]") -> None:
    """Store how the stage ended; what was cancelled is taken back, what was lost is only cleaned up."""
    error = None if work.cancelled() else work.exception()
    if error is None and not work.cancelled():
        await _succeeded(run, work.result())
        return
    if isinstance(error, CancelRequested) or (work.cancelled() and _cause(watch, CancelRequested)):
        await _cancelled(run, declared)
        return
    if work.cancelled() or isinstance(error, LeaseLost):
        log.warning("pipeline.lease_lost", deployment=str(run.deployment.id), stage=declared.name.value)
        await _clean(run)
        return
    if not isinstance(error, StageFailed):
        log.error("pipeline.unexpected", deployment=str(run.deployment.id), exc_info=error)
        error = StageFailed("INTERNAL_ERROR", "The worker met an unexpected problem; its log has the details.")
    message, output = run.journal.redact(error.message), run.journal.redact("\n".join(error.output))
    run.journal.say(message, LogLevel.error)
    store = {"error_code": error.code, "error_message": message, "error_output": output[-LONGEST_OUTPUT:]}
    await _end(run, run.change(Event.fail, message=message, store=store))


def _cause(task: "asyncio.Task[None]", kind: type[Exception]) -> bool:
    """Whether a task has ended by this."""
    return task.done() and not task.cancelled() and isinstance(task.exception(), kind)


async def _succeeded(run: Run, stored: Stored) -> None:
    graph = TASK_GRAPHS[run.deployment.kind]
    following = graph[graph.index(run.stage) + 1 :]
    if following:
        await _persist(
            run, run.change(Event.hand_over, stage=following[0], message=f"{run.stage.value.capitalize()} is done", store=stored)
        )
        return
    await _end(run, run.change(Event.succeed, message="Deployed", store=stored))


async def _cancelled(run: Run, declared: Stage) -> None:
    """Take back what the stage did, and end."""
    run.journal.say("Cancelled", LogLevel.warning)
    if declared.undo is not None:
        try:
            async with asyncio.timeout(UNDOING):
                await declared.undo(run)
        except Exception as error:
            log.warning("pipeline.not_undone", deployment=str(run.deployment.id), stage=declared.name.value, error=str(error))
    await _end(run, run.change(Event.stop, message="Cancelled"))


async def _persist(run: Run, change: Change) -> None:
    """Store the end of a stage, again and again while the database is away; what was lost is only cleaned up."""

    async def store() -> None:
        await run.journal.drain()
        await apply(change)

    try:
        await patiently(store, PERSISTENCE)
    except LeaseLost:
        await _clean(run)


async def _end(run: Run, change: Change) -> None:
    """End the deployment, of which nothing is left here by then, and let the next one begin."""
    await _clean(run)
    await _persist(run, change)
    await rings.ring_next(run.deployment.application_id)


async def _clean(run: Run) -> None:
    await asyncio.to_thread(shutil.rmtree, run.directory, ignore_errors=True)
