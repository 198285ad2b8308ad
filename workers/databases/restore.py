"""A restore: a database's data replaced by those of a backup, or left as they were."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any
from uuid import UUID

import structlog

from models import BackupTrigger, DatabaseBackup, DatabaseRestore, TaskStatus
from workers.databases import replacing
from workers.databases.artefacts import Artefact, artefact_of, verified
from workers.databases.containers import Container, DatabaseFailed, running
from workers.databases.contract import Replace, Swap
from workers.databases.credentials import credentials_of
from workers.databases.desired import engine_of
from workers.databases.hold import Hold, hold
from workers.databases.replacing import Replacing
from workers.databases.room import roomy
from workers.databases.streams import given
from workers.runtime import Runtime

log = structlog.get_logger()

Held = Hold[DatabaseRestore]


async def restore(runtime: Runtime, id: UUID) -> None:
    """One message: do a restore, unless it is not its turn."""
    await hold(runtime, DatabaseRestore, id, _work, _undo)


async def _work(held: Held) -> Mapping[str, Any]:
    backup = await DatabaseBackup.get(id=held.row.backup_id)
    await _safe(held)
    _compatible(held, backup)
    engine, artefact = engine_of(held.database), artefact_of(backup)
    foreign = backup.database_id != held.database.id or backup.trigger is BackupTrigger.upload
    container = await _running(held)
    await verified(engine, container, artefact, await held.step("verifying"))
    if isinstance(engine.restore, Replace):
        await Replacing(held, engine.restore, artefact, foreign).done()
    elif container is None:
        raise DatabaseFailed("DATABASE_STOPPED", "The database does not run.")
    else:
        await _swapped(held, engine.restore, container, artefact)
    return {}


async def _safe(held: Held) -> None:
    """See that what is there now has been backed up. Raises `DatabaseFailed`."""
    if held.row.safety_backup_id is None:
        return
    safety = await DatabaseBackup.get(id=held.row.safety_backup_id)
    if safety.status is not TaskStatus.completed:
        raise DatabaseFailed("SAFETY_BACKUP_FAILED", "What is there now could not be backed up first; nothing was changed.")


def _compatible(held: Held, backup: DatabaseBackup) -> None:
    """See that the backup is of no newer version than the database. Raises `DatabaseFailed`."""
    if _newer(backup.version, held.database.version):
        message = f"The backup is of version {backup.version}, which is newer than {held.database.version}, the database's."
        raise DatabaseFailed("BACKUP_TOO_NEW", message)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _newer(version: str, other: str) -> bool:
    """Whether a version is newer than another one, as far as both say: `8.4` may be an `8`."""
    one, two = _number(version), _number(other)
    length = min(len(one), len(two))
    return one[:length] > two[:length]


async def _running(held: Held) -> Container | None:
    try:
        return await running(held.runtime, held.database, credentials_of(held.database))
    except DatabaseFailed:
        return None


async def _swapped(held: Held, swap: Swap, container: Container, artefact: Artefact) -> None:
    """Load into a second database of the same server, and have it take the place of the first."""
    credentials, folder = container.credentials, container.engine.volume(held.database.version)
    prepare, users, command = (roomy(each(credentials), folder) for each in (swap.prepare, swap.users, swap.load))
    meter = await held.step("preparing")
    await container.tell(prepare)
    await given(lambda: artefact.chunks(meter), lambda descriptor: container.read(users, descriptor))
    meter = await held.step("loading")
    await container.tell(prepare)
    await given(lambda: artefact.chunks(meter), lambda descriptor: container.read(command, descriptor))
    await held.step("replacing")
    await _entirely(_committed(container, swap))


async def _committed(container: Container, swap: Swap) -> None:
    await container.tell(swap.commit(container.credentials))
    try:
        await container.tell(swap.undo(container.credentials))
    except DatabaseFailed as error:  # what is left then goes with the next settlement
        log.warning("databases.not_cleared", error=error.message)


async def _entirely(work: Coroutine[Any, Any, None]) -> None:
    """Do what may not be left in the middle: who asks for the end of it meanwhile has come too late."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    await task


async def _undo(held: Held) -> Mapping[str, Any]:
    """Leave nothing of the attempt; the service itself is brought back by the wish that the failure raises."""
    engine = engine_of(held.database)
    if isinstance(engine.restore, Replace):
        await replacing.forgotten(held)
        return {}
    if (container := await _running(held)) is not None:
        await container.tell(engine.restore.undo(container.credentials))
    return {}
