"""The reconciler: one leader among all workers looks every few seconds for what nobody works on (PIPELINE 6)."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from models import DeploymentKind, DeploymentStatus, Session, StageName, answers
from models.database import database, own_connection
from models.lifecycle import IS_ACTIVE
from workers import broker, rings
from workers.states import MOST_ATTEMPTS, Change, Event, apply

log = structlog.get_logger()

INTERVAL = 5.0
"""Seconds between two looks."""
PATIENCE = 10
"""Seconds after which what was rung and not taken is rung again."""
_LEADER = 0x6C656164

_EXPIRED = f"""
    select id, application_id, kind, status, epoch, attempt from deployment
    where {IS_ACTIVE} and worker is not null and lease_until < now()
"""  # noqa: S608 (a constant of our own)
_UNCLAIMED = f"""
    select d.id, d.kind, d.status from deployment d
    where (d.rung_at is null or d.rung_at < now() - interval '{PATIENCE} seconds')
      and ((d.{IS_ACTIVE} and d.worker is null)
        or (d.status = 'pending' and not exists (
            select from deployment o where o.application_id = d.application_id and o.id <> d.id
            and (o.{IS_ACTIVE} or (o.status = 'pending' and o.id < d.id)))))
    order by d.id limit 200
"""  # noqa: S608 (numbers of our own)
_UNSETTLED = "select id from application where wished > granted order by id limit 200"


async def run() -> None:
    """Lead whenever nobody else does, until cancelled; one bad row, or the database being away, never stops it."""
    while True:
        try:
            async with own_connection() as connection:
                while True:
                    if await connection.fetchval("select pg_try_advisory_lock($1)", _LEADER):
                        await lead(connection)
                    await asyncio.sleep(INTERVAL)
        except Exception as error:
            log.warning("reconcile.interrupted", error=str(error))
            await asyncio.sleep(1)


async def lead(connection: Any) -> None:
    """Look again and again while the connection that holds the lock lives."""
    while not connection.is_closed():
        await tick()
        await asyncio.sleep(INTERVAL)


async def tick() -> None:
    """One look at everything."""
    for row in await database().execute_query_dict(_EXPIRED):
        await _guarded(_take_over(row), row["id"])
    await _clear_away()
    if await asyncio.to_thread(_busy):
        return
    for row in await database().execute_query_dict(_UNCLAIMED):
        kind, status = DeploymentKind(row["kind"]), DeploymentStatus(row["status"])
        await _guarded(rings.ring_deployment(row["id"], kind, status), row["id"])
    for row in await database().execute_query_dict(_UNSETTLED):
        await _guarded(rings.ring((rings.SETTLE,), row["id"]), row["id"])


async def _clear_away() -> None:
    """Delete what has expired; it can wait for the next look."""
    try:
        await answers.forget_expired()
        await Session.filter(expires_at__lt=datetime.now(UTC)).delete()
    except Exception as error:
        log.error("reconcile.not_cleared", error=str(error))


def _busy() -> bool:
    """Whether the queue holds messages that nobody has taken: ringing more would only pile them up."""
    try:
        return broker.waiting() > 0
    except (RedisError, OSError):
        return True


async def _guarded(work: Awaitable[None], id: UUID) -> None:
    try:
        await work
    except Exception as error:
        log.error("reconcile.bad_row", id=str(id), error=str(error))


async def _take_over(row: dict[str, Any]) -> None:
    """Free a deployment whose worker is gone, or end it after too many attempts."""
    id, epoch, kind = row["id"], row["epoch"], DeploymentKind(row["kind"])
    status = DeploymentStatus(row["status"])
    stage = StageName(status.value)
    taken = await apply(Change(Event.take_over, id, epoch, stage=stage, message="The worker was lost; another one goes on"))
    if taken is not None:
        log.warning("reconcile.taken_over", deployment=str(id), stage=stage.value, attempt=taken["attempt"])
        await rings.ring_deployment(id, kind, status)
        return
    message = f"The worker was lost {MOST_ATTEMPTS} times."
    lost = await apply(Change(Event.lose, id, epoch, message=message, store={"error_code": "WORKER_LOST", "error_message": message}))
    if lost is not None:
        await rings.ring_next(lost["application_id"])
