"""Settling the wishes of databases: made, started, stopped, changed, given another password, or removed as the row has it.

Claimed and fenced as the wishes of applications are, and never while its data are being copied or replaced.
"""

from typing import Final
from uuid import UUID

import structlog

from models import Database, DatabaseStatus
from models.backup_storage import StorageFailed
from models.database import database
from workers.claims import Claim, Claims
from workers.databases.containers import DatabaseFailed, running
from workers.databases.contract import Swap
from workers.databases.credentials import credentials_of
from workers.databases.desired import engine_of
from workers.databases.password import changed
from workers.databases.removal import remove
from workers.databases.replacing import remove_servers
from workers.databases.rings import ring_next
from workers.databases.service import READY_SECONDS, gone, ready, told, until
from workers.databases.surroundings import clear
from workers.docker_errors import DockerError
from workers.engine import EngineUnavailable
from workers.journal import LeaseLost
from workers.runtime import Runtime
from workers.service_spec import UnsafeValue
from workers.surroundings import ForeignVolume

log = structlog.get_logger()

_CLAIMS: Final = Claims(
    "database",
    """not exists (select from database_restore r where r.database_id = t.id and r.status = 'running')
       and not exists (select from database_backup b where b.database_id = t.id and b.status = 'running')""",
    ", status = case when t.stopped or t.deleted_at is not null then t.status else 'starting' end",
)
_ENDED: Final = frozenset({"DATABASE_STOPPED", "DATABASE_UNREACHABLE", "CONTAINER_LOST"})
"""Codes of a server that has just ended, or is just beginning."""
_GRANTED = """
    update database set granted = greatest(granted, $3), status = $4, error_message = $5 where id = $1 and settler = $2
"""


async def settle(runtime: Runtime, id: UUID) -> None:
    """One message: grant a database's wishes, unless somebody else is at its service."""
    claim = await _CLAIMS.take(id, runtime.name)
    if claim is None:
        return
    try:
        await claim.during(_settled(runtime, claim))
    except LeaseLost:
        log.warning("databases.lease_lost", database=str(id))
        return
    except (DockerError, EngineUnavailable, DatabaseFailed, StorageFailed) as error:  # which the reconciler tries again
        log.warning("databases.refused", database=str(id), error=str(error))
        return
    finally:
        await claim.release()
    await ring_next(id)


async def _settled(runtime: Runtime, claim: Claim) -> None:
    row = await Database.get(id=claim.id)
    if row.deleted_at is not None:
        await remove(runtime, row, claim.still_held)
    else:
        await _granted(runtime, row, claim)


async def _granted(runtime: Runtime, row: Database, claim: Claim) -> None:
    """Bring the service to what the row says, and say how that went."""
    status, trouble = DatabaseStatus.stopped if row.stopped else DatabaseStatus.running, None
    wished = row.wished
    try:
        await remove_servers(runtime, row)
        row = await _told(runtime, row, claim)
        await claim.still_held()
        await clear(runtime, row)
    except (DatabaseFailed, ForeignVolume, UnsafeValue) as error:
        status, trouble = DatabaseStatus.error, str(error)
    await database().execute_query(_GRANTED, [row.id, claim.settler, wished, status.value, trouble])


async def _told(runtime: Runtime, row: Database, claim: Claim) -> Database:
    """Have the service run as it shall, by a new password if one is wished for. Raises `DatabaseFailed`, after all that could be done.

    A server that does not run cannot be told a password: it is started first, by the old one.
    """
    try:
        row = await changed(runtime, row, claim.still_held)
    except DatabaseFailed:
        await _begun(runtime, row, claim)
        row = await changed(runtime, row, claim.still_held)
    await _begun(runtime, row, claim)
    return row


async def _begun(runtime: Runtime, row: Database, claim: Claim) -> None:
    revision = await told(runtime, row, claim.still_held)
    if row.stopped:
        await gone(runtime, row)  # else it might be started again beside the one that is still ending, on the same data
    else:
        await _opened(runtime, row, revision, claim)


async def _opened(runtime: Runtime, row: Database, revision: str, claim: Claim) -> None:
    """Wait for the server, and take back what a restore that did not get to its end may have left.

    A restore may have failed because the server ended, which may be seen only now.
    """
    engine, credentials = engine_of(row), credentials_of(row)

    async def look() -> bool:
        await ready(runtime, row, revision)
        await claim.still_held()
        if isinstance(engine.restore, Swap):
            try:
                await (await running(runtime, row, credentials)).tell(engine.restore.undo(credentials))
            except DatabaseFailed as error:
                if error.code not in _ENDED:
                    raise
                return False
        return True

    try:
        await until(look, READY_SECONDS)
    except TimeoutError:
        raise DatabaseFailed("NOT_READY", "The server ends again and again: see its logs.") from None
