"""Deployments that nobody works on: cancelled, lost, too old, or waiting for a message that Redis has forgotten."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from models import DeploymentKind, DeploymentStatus, StageName
from models.database import database
from models.lifecycle import IS_ACTIVE, IS_LIVING
from workers import broker, rings
from workers.runtime import Runtime
from workers.states import FIRST_IN_LINE, LEASE, LONGEST_LIFE, LONGEST_WAIT, MOST_ATTEMPTS, TOO_OLD, Change, Event
from workers.transitions import apply

log = structlog.get_logger()

PATIENCE = 2
"""Seconds after which what was rung, and is in no message any more, is rung again."""
SILENCE, OBEDIENCE = 4, 9
"""Seconds after which a cancellation is carried out without its worker: when it has not heard of it, and when it is not done."""

_UNSTOPPED = f"""
    select id, epoch from deployment
    where {IS_ACTIVE} and (cancel_requested_at < now() - interval '{OBEDIENCE} seconds'
        or cancel_requested_at < now() - interval '{SILENCE} seconds'
           and lease_until < cancel_requested_at + interval '{LEASE} seconds')
"""  # noqa: S608 (numbers of our own)
_EXPIRED = f"""
    select id, application_id, kind, status, epoch, attempt from deployment
    where {IS_ACTIVE} and worker is not null and coalesce(lease_until, '-infinity') < now()
"""  # noqa: S608
_TOO_OLD = f"select d.id, d.epoch, d.status from deployment d where d.{IS_LIVING} and {TOO_OLD}"  # noqa: S608
_UNCLAIMED = f"""
    select d.id, d.kind, d.status from deployment d
    where (d.rung_at is null or d.rung_at < now() - interval '{PATIENCE} seconds')
      and ((d.{IS_ACTIVE} and d.worker is null)
        or (d.status = 'pending' and {FIRST_IN_LINE}))
    order by d.id limit 1000
"""  # noqa: S608
_UNSETTLED = "select id from application where wished > granted order by id limit 1000"


async def carry_out_cancellations(runtime: Runtime) -> None:
    """End what was asked to be cancelled and whose worker does not; what that leaves behind is found by the other duties."""
    for row in await database().execute_query_dict(_UNSTOPPED):
        await _guarded(_end(Change(Event.force_stop, row["id"], row["epoch"], message="Cancelled")), row["id"])


async def take_over(runtime: Runtime) -> None:
    """Free the deployments whose worker is gone."""
    for row in await database().execute_query_dict(_EXPIRED):
        await _guarded(_take_over(row), row["id"])


async def end_what_is_too_old(runtime: Runtime) -> None:
    """End the deployments that outlived their longest life, or waited longer than anybody still wants them."""
    for row in await database().execute_query_dict(_TOO_OLD):
        limit = LONGEST_WAIT if row["status"] == DeploymentStatus.pending else LONGEST_LIFE
        message = f"The deployment has not ended within {limit}."
        store = {"error_code": "TIMED_OUT", "error_message": message}
        await _guarded(_end(Change(Event.expire, row["id"], row["epoch"], message=message, store=store)), row["id"])


async def ring(runtime: Runtime) -> None:
    """Ring again for what nobody has taken and no message tells of."""
    deployments = await database().execute_query_dict(_UNCLAIMED)
    applications = await database().execute_query_dict(_UNSETTLED)
    if not deployments and not applications:
        return
    try:
        rung = await asyncio.to_thread(broker.rung)
    except (RedisError, OSError) as error:
        log.warning("rescue.redis_away", error=str(error))
        return
    for row in deployments:
        if str(row["id"]) not in rung:
            await _guarded(rings.ring_deployment(row["id"], DeploymentKind(row["kind"]), DeploymentStatus(row["status"])), row["id"])
    for row in applications:
        if str(row["id"]) not in rung:
            await _guarded(rings.ring((rings.SETTLE,), row["id"]), row["id"])


async def _guarded(work: Awaitable[None], id: UUID) -> None:
    """One bad row never stops the others."""
    try:
        await work
    except Exception as error:
        log.error("rescue.bad_row", id=str(id), error=repr(error))


async def _end(change: Change) -> None:
    """End a deployment, and let the next one begin."""
    ended = await apply(change)
    if ended is not None:
        log.warning("rescue.ended", deployment=str(change.deployment), by=change.event.value)
        await rings.ring_next(ended["application_id"])


async def _take_over(row: dict[str, Any]) -> None:
    """Free a deployment whose worker is gone, or end it after too many attempts."""
    id, epoch, kind = row["id"], row["epoch"], DeploymentKind(row["kind"])
    status = DeploymentStatus(row["status"])
    stage = StageName(status.value)
    taken = await apply(Change(Event.take_over, id, epoch, stage=stage, message="The worker was lost; another one goes on"))
    if taken is not None:
        log.warning("rescue.taken_over", deployment=str(id), stage=stage.value, attempt=taken["attempt"])
        await rings.ring_deployment(id, kind, status)
        return
    message = f"The worker was lost {MOST_ATTEMPTS} times."
    await _end(Change(Event.lose, id, epoch, message=message, store={"error_code": "WORKER_LOST", "error_message": message}))
