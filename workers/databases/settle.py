"""Settling the wishes of databases: made, started, stopped, changed, given another password, or removed as the row has it.

Claimed and fenced as the wishes of applications are, and never while its data are being copied or replaced.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

import structlog
from tortoise.transactions import in_transaction

from models import Database, DatabaseStatus
from models.backup_storage import StorageFailed
from models.database import AWAY, database
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
from workers.states import LEASE
from workers.surroundings import ForeignVolume

log = structlog.get_logger()

RENEWAL: Final = 10.0
"""Seconds between two renewals of the lease."""

_ENDED: Final = frozenset({"DATABASE_STOPPED", "DATABASE_UNREACHABLE", "CONTAINER_LOST"})
"""Codes of a server that has just ended, or is just beginning."""
_CLAIM = f"""
    update database d set settler = $2, settle_until = now() + interval '{LEASE} seconds',
        status = case when d.stopped or d.deleted_at is not null then d.status else 'starting' end
    where d.id = $1 and d.wished > d.granted and (d.settle_until is null or d.settle_until < now())
      and not exists (select from database_restore r where r.database_id = d.id and r.status = 'running')
      and not exists (select from database_backup b where b.database_id = d.id and b.status = 'running')
    returning d.id
"""  # noqa: S608 (a constant of our own)
_RENEW = f"""
    update database set settle_until = now() + interval '{LEASE} seconds'
    where id = $1 and settler = $2 and settle_until > now() returning id
"""  # noqa: S608
_RELEASE = "update database set settler = null, settle_until = null where id = $1 and settler = $2"
_GRANTED = """
    update database set granted = greatest(granted, $3), status = $4, error_message = $5 where id = $1 and settler = $2
"""


@dataclass(frozen=True)
class Settling:
    """One claim on a database's service."""

    id: UUID
    settler: str

    async def still_held(self) -> None:
        """Renew the claim, before something outside is touched. Raises `LeaseLost`."""
        if not await database().execute_query_dict(_RENEW, [self.id, self.settler]):
            raise LeaseLost


async def settle(runtime: Runtime, id: UUID) -> None:
    """One message: grant a database's wishes, unless somebody else is at its service."""
    claim = await _claimed(runtime, id)
    if claim is None:
        return
    try:
        await _renewed(claim, _settled(runtime, claim))
    except LeaseLost:
        log.warning("databases.lease_lost", database=str(id))
        return
    except (DockerError, EngineUnavailable, DatabaseFailed, StorageFailed) as error:  # which the reconciler tries again
        log.warning("databases.refused", database=str(id), error=str(error))
        return
    finally:
        await database().execute_query(_RELEASE, [id, claim.settler])
    await ring_next(id)


async def _claimed(runtime: Runtime, id: UUID) -> Settling | None:
    settler = f"{runtime.name}/{token_hex(4)}"
    async with in_transaction() as connection:
        # Whoever starts to replace its data takes this row first, too: after it the claim sees what they have done.
        await connection.execute_query("select from database where id = $1 for update", [id])
        rows = await connection.execute_query_dict(_CLAIM, [id, settler])
    return Settling(id, settler) if rows else None


async def _settled(runtime: Runtime, claim: Settling) -> None:
    row = await Database.get(id=claim.id)
    if row.deleted_at is not None:
        await remove(runtime, row, claim.still_held)
    else:
        await _granted(runtime, row, claim)


async def _renewed(claim: Settling, work: Coroutine[Any, Any, None]) -> None:
    """Do some work for as long as the claim is kept. Raises what the work raises, and `LeaseLost` once the claim is another's."""
    working, renewing = asyncio.ensure_future(work), asyncio.create_task(_renew(claim))
    try:
        await asyncio.wait([working, renewing], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise LeaseLost
        await working
    finally:
        for task in (working, renewing):
            task.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)


async def _renew(claim: Settling) -> None:
    """Renew a claim until it is lost, or the database has been away for as long as it lasts."""
    loop = asyncio.get_running_loop()
    renewed = loop.time()
    while loop.time() - renewed < LEASE:
        await asyncio.sleep(RENEWAL)
        with contextlib.suppress(*AWAY):
            try:
                await claim.still_held()
            except LeaseLost:
                return
            renewed = loop.time()


async def _granted(runtime: Runtime, row: Database, claim: Settling) -> None:
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


async def _told(runtime: Runtime, row: Database, claim: Settling) -> Database:
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


async def _begun(runtime: Runtime, row: Database, claim: Settling) -> None:
    revision = await told(runtime, row, claim.still_held)
    if row.stopped:
        await gone(runtime, row)  # else it might be started again beside the one that is still ending, on the same data
    else:
        await _opened(runtime, row, revision, claim)


async def _opened(runtime: Runtime, row: Database, revision: str, claim: Settling) -> None:
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
