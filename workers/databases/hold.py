"""A worker's hold on a backup or a restore: claimed, renewed while it works, and let go of in one way or another."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import structlog

import models
from models.backup_storage import StorageFailed
from models.bell import wake_soon
from models.database import AWAY, database
from workers.databases.containers import DatabaseFailed
from workers.databases.rings import ring_next
from workers.databases.streams import Meter
from workers.databases.tasks import LEASE, Change, Event, Kind, apply
from workers.docker_errors import DockerError
from workers.engine import EngineUnavailable
from workers.journal import CancelRequested, LeaseLost
from workers.patience import patiently
from workers.runtime import Runtime
from workers.service_spec import UnsafeValue
from workers.surroundings import ForeignVolume

log = structlog.get_logger()

RENEWAL: Final = 10.0
"""Seconds between two renewals of the lease."""
LOOK: Final = 1.0
"""Seconds between two looks whether it is still wanted, after each of which it is told how much has passed."""
PERSISTENCE: Final = 25.0
"""Seconds for which its end is tried to be stored while the database is away."""

T = TypeVar("T", models.DatabaseBackup, models.DatabaseRestore)


@dataclass
class Hold(Generic[T]):
    """One attempt at a task. Side effects are named after its id and epoch."""

    runtime: Runtime
    kind: Kind
    row: T
    database: models.Database
    meter: Meter
    """Of the step under way."""
    told: int = 0
    """What had passed when somebody was woken for it."""

    @property
    def tag(self) -> str:
        """`<id>-<epoch>`."""
        return f"{self.row.id}-{self.row.epoch}"

    async def step(self, name: str) -> Meter:
        """Say what is done now, before something outside is touched. Raises as `still_held` does."""
        await self.still_held()
        self.meter = Meter()
        await self._told(name)
        return self.meter

    async def still_held(self) -> None:
        """Renew the lease. Raises `LeaseLost` and `CancelRequested`."""
        row = await patiently(lambda: apply(self.change(Event.renew)), LEASE)
        if row is None:
            raise LeaseLost
        if row["cancel_requested_at"] is not None:
            raise CancelRequested

    def change(self, event: Event, store: Mapping[str, Any] | None = None) -> Change:
        """A change that only whoever holds it may make."""
        return Change(self.kind, event, self.row.id, self.row.epoch, self.runtime.name, store or {})

    async def keep(self) -> None:
        """Renew the lease until cancelled, also while what was begun is taken back."""
        while True:
            await asyncio.sleep(RENEWAL)
            with contextlib.suppress(*AWAY):
                await apply(self.change(Event.renew))

    async def watch(self) -> None:
        """Keep the lease, and tell what has passed. Raises `LeaseLost`, and `CancelRequested` once that is known."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(LOOK)
            asked = loop.time()
            try:
                if await self._told(None) or asked - renewed >= RENEWAL:
                    await self.still_held()
                    renewed = asked
            except AWAY as error:
                log.warning("databases.database_away", error=str(error))
                if asked > renewed + LEASE:
                    raise LeaseLost from error

    async def _told(self, step: str | None) -> bool:
        """Store how far it is, and wake whoever follows it. Whether somebody has asked for its end, or somebody else has it."""
        statement = (
            f"update {self.kind.Meta.table} set transferred = $4, step = coalesce($5, step) "  # noqa: S608 (a name of ours)
            "where id = $1 and epoch = $2 and worker = $3 and status = 'running' returning cancel_requested_at"
        )
        passed = self.meter.transferred
        values = [self.row.id, self.row.epoch, self.runtime.name, passed, step]
        rows = await database().execute_query_dict(statement, values)
        if step is not None or passed != self.told:
            self.told = passed
            wake_soon(self.row.id)
        return not rows or rows[0]["cancel_requested_at"] is not None


Work = Callable[[Hold[T]], Awaitable[Mapping[str, Any]]]
"""Does a task; what it returns is stored with its completion."""


async def hold(runtime: Runtime, kind: type[T], id: UUID, work: Work[T], undo: Work[T] | None = None) -> None:
    """One message: claim the task, do it, store how it ended. Whatever happens, it is not left in between.

    `undo` takes back what was begun of a task that did not get to its end.
    """
    entered = await apply(Change(kind, Event.start, id, worker=runtime.name))
    if entered is None:
        return
    row = await kind.get(id=id)
    held = Hold(runtime, kind, row, await models.Database.get(id=row.database_id), Meter())
    keeping = asyncio.create_task(held.keep())
    try:
        await _held(held, work, undo)
    finally:
        await _stopped(keeping)


async def _held(held: Hold[T], work: Work[T], undo: Work[T] | None) -> None:
    """Do a task that is held, store how it ended, and ring for the next."""
    working, watching = asyncio.ensure_future(work(held)), asyncio.create_task(held.watch())
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
        await _stopped(working)
    except asyncio.CancelledError:
        await _stopped(working)
        if working.cancelled():
            await _undone(held, undo)
            await _persist(held, held.change(Event.hand_back))
            return
    finally:
        await _stopped(watching)
    await _concluded(held, working, watching, undo)
    await ring_next(held.row.database_id)


async def _stopped(task: "asyncio.Future[Any]") -> None:
    if not task.done():
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # whoever wants to know asks once more


async def _concluded(
    held: Hold[T], working: "asyncio.Future[Mapping[str, Any]]", watching: "asyncio.Task[None]", undo: Work[T] | None
) -> None:
    error = _cause(watching) if working.cancelled() else working.exception()
    if error is None:
        await _persist(held, held.change(Event.complete, {"transferred": held.meter.transferred, **working.result()}))
        return
    if isinstance(error, LeaseLost):
        log.warning("databases.lease_lost", task=str(held.row.id))
        return
    await _undone(held, undo)
    if isinstance(error, CancelRequested):
        await _persist(held, held.change(Event.stop))
        return
    code, message = _explained(error)
    log.warning("databases.failed", task=str(held.row.id), database=str(held.database.id), code=code)
    await _persist(held, held.change(Event.fail, {"error_code": code, "error_message": message}))


def _cause(watching: "asyncio.Task[None]") -> BaseException:
    """Why the work was ended."""
    return (None if watching.cancelled() else watching.exception()) or LeaseLost()


def _explained(error: BaseException) -> tuple[str, str]:
    if isinstance(error, DatabaseFailed | StorageFailed | DockerError | EngineUnavailable):
        return error.code, str(error)
    if isinstance(error, ForeignVolume | UnsafeValue):
        return "NOT_OURS" if isinstance(error, ForeignVolume) else "INVALID_CONFIGURATION", str(error)
    log.error("databases.unexpected", exc_info=error)
    return "INTERNAL_ERROR", "Something went wrong inside; the worker's log says what."


async def _undone(held: Hold[T], undo: Work[T] | None) -> None:
    if undo is None:
        return
    try:
        await undo(held)
    except Exception as error:
        log.warning("databases.not_undone", task=str(held.row.id), error=repr(error))


async def _persist(held: Hold[T], change: Change) -> None:
    """Store an end, again and again while the database is away; what was lost is somebody else's."""
    try:
        await patiently(lambda: apply(change), PERSISTENCE)
    except LeaseLost:
        log.warning("databases.lease_lost", task=str(held.row.id))
