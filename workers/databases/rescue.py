"""Backups, restores and wishes of databases that nobody works on: cancelled, lost, too old, or waiting for a message that is gone."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from models import DatabaseBackup, DatabaseRestore
from models.database import database
from workers import broker, rings
from workers.databases.rings import ACTORS, WAITING, ring_next
from workers.databases.tasks import LEASE, LONGEST_WAIT, MOST_ATTEMPTS, Change, Event, Kind, apply
from workers.rescue import OBEDIENCE, SILENCE
from workers.runtime import Runtime

log = structlog.get_logger()

KINDS: Final[tuple[Kind, ...]] = (DatabaseBackup, DatabaseRestore)
_UNSTOPPED = f"""
    select id, epoch from {{table}} where status = 'running' and (cancel_requested_at < now() - interval '{OBEDIENCE + LEASE} seconds'
        or cancel_requested_at < now() - interval '{SILENCE} seconds'
           and lease_until < cancel_requested_at + interval '{LEASE} seconds')
"""  # noqa: S608 (names and numbers of our own)
"""Taking back may take a while: as long as its worker is heard it is waited for."""
_EXPIRED = "select id, epoch from {table} where status = 'running' and coalesce(lease_until, '-infinity') < now()"
_TOO_OLD = f"select id, epoch from {{table}} where status = 'pending' and created_at < now() - interval '{LONGEST_WAIT}'"  # noqa: S608
_UNSETTLED = "select id from database where wished > granted order by id limit 1000"


async def rescue(runtime: Runtime) -> None:
    """Carry out cancellations, free what was lost, end what is too old, and ring for what waits."""
    for kind in KINDS:
        for row in await _found(_UNSTOPPED, kind):
            await _guarded(_end(kind, Event.force_stop, row), row["id"])
        for row in await _found(_EXPIRED, kind):
            await _guarded(_take_over(kind, row), row["id"])
        for row in await _found(_TOO_OLD, kind):
            await _guarded(_end(kind, Event.expire, row, "TIMED_OUT", f"Its turn has not come within {LONGEST_WAIT}."), row["id"])
    await _ring()


async def _found(statement: str, kind: Kind) -> list[dict[str, Any]]:
    return list(await database().execute_query_dict(statement.format(table=kind.Meta.table)))


async def _take_over(kind: Kind, row: dict[str, Any]) -> None:
    """Let another worker begin it anew, or end it after too many attempts."""
    taken = await apply(Change(kind, Event.take_over, row["id"], row["epoch"]))
    if taken is None:
        await _end(kind, Event.lose, row, "WORKER_LOST", f"The worker was lost {MOST_ATTEMPTS} times.")
        return
    log.warning("databases.taken_over", task=str(row["id"]), attempt=taken["attempt"])
    await ring_next(taken["database_id"])


async def _end(kind: Kind, event: Event, row: dict[str, Any], code: str | None = None, message: str | None = None) -> None:
    ended = await apply(Change(kind, event, row["id"], row["epoch"], store={"error_code": code, "error_message": message}))
    if ended is not None:
        log.warning("databases.ended", task=str(row["id"]), by=event.value)
        await ring_next(ended["database_id"])


async def _ring() -> None:
    tasks = await database().execute_query_dict(f"{WAITING} limit 1000")
    databases = await database().execute_query_dict(_UNSETTLED)
    if not tasks and not databases:
        return
    try:
        rung = await asyncio.to_thread(broker.rung)
    except (RedisError, OSError) as error:
        log.warning("databases.redis_away", error=str(error))
        return
    for row in databases:
        if str(row["id"]) not in rung:
            await _guarded(rings.ring((rings.SETTLE_DATABASE,), row["id"]), row["id"])
    for row in tasks:
        if str(row["id"]) not in rung:
            await _guarded(rings.ring((ACTORS[row["kind"]],), row["id"]), row["id"])


async def _guarded(work: Awaitable[None], id: UUID) -> None:
    """One bad row never stops the others."""
    try:
        await work
    except Exception as error:
        log.error("databases.bad_row", id=str(id), error=repr(error))
