"""Settling wishes: an application's service is scaled, restarted, brought back or removed as the database has it.

Claimed and fenced like a stage: one settler at a time owns the application's service, for as long as it renews its lease, never while
a deployment changes that service, and it looks once more before each step.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import token_hex
from uuid import UUID

import structlog
from tortoise.transactions import in_transaction

from models import Application, background
from models.database import AWAY, database
from models.lifecycle import IS_ACTIVE
from workers import docker, rings
from workers.engine import EngineUnavailable
from workers.journal import LeaseLost
from workers.removal import StillInUse, remove
from workers.restore import restore
from workers.runtime import Runtime
from workers.states import LEASE
from workers.surroundings import ForeignVolume

log = structlog.get_logger()

PAUSE = 1.0
"""Seconds until the next look at what is still ending."""
RENEWAL = 10.0
"""Seconds between two renewals of the lease."""

_CLAIM = f"""
    update application a set settler = $2, settle_until = now() + interval '{LEASE} seconds'
    where a.id = $1 and a.wished > a.granted and (a.settle_until is null or a.settle_until < now())
      and not exists (select from deployment d where d.application_id = a.id and d.{IS_ACTIVE}
                      and (d.status = 'deploying' or a.deleted_at is not null))
    returning a.id
"""  # noqa: S608 (constants of our own)
_RENEW = f"""
    update application set settle_until = now() + interval '{LEASE} seconds'
    where id = $1 and settler = $2 and settle_until > now() returning id
"""  # noqa: S608
_RELEASE = "update application set settler = null, settle_until = null where id = $1 and settler = $2"
_GRANTED = """
    update application set granted = greatest(granted, $3),
        status = case when status = 'deploying' or not $4 then status when replicas = 0 then 'stopped' else 'running' end,
        health_status = case when replicas = 0 then 'unknown' else health_status end
    where id = $1 and settler = $2
"""

_coming_back: set[UUID] = set()


@dataclass(frozen=True)
class Settling:
    """One claim on an application's service."""

    id: UUID
    settler: str

    async def still_held(self) -> None:
        """Renew the claim, before something outside is touched. Raises `LeaseLost`."""
        if not await database().execute_query_dict(_RENEW, [self.id, self.settler]):
            raise LeaseLost


async def settle(runtime: Runtime, id: UUID) -> None:
    """Grant an application's wishes, unless somebody else is at its service."""
    claim = await _claimed(runtime, id)
    if claim is None:
        return
    next_in_line = rings.ring_waiting
    try:
        async with _renewed(claim):
            application = await Application.get(id=id)
            if application.deleted_at is None:
                await _adjust(runtime, application, claim)
            else:
                await remove(runtime, application, claim.still_held)
        next_in_line = rings.ring_next
    except StillInUse:
        _come_back(id)
    except LeaseLost:
        log.warning("settle.lease_lost", application=str(id))
        return
    except (docker.DockerError, EngineUnavailable, ForeignVolume) as error:
        log.warning("settle.refused", application=str(id), error=str(error))
    finally:
        await database().execute_query(_RELEASE, [id, claim.settler])
    background.start(next_in_line(id))


async def _claimed(runtime: Runtime, id: UUID) -> Settling | None:
    settler = f"{runtime.name}/{token_hex(4)}"
    async with in_transaction() as connection:
        # Whoever starts to deploy takes this row first, too: after it the claim sees what they have done.
        await connection.execute_query("select from application where id = $1 for update", [id])
        rows = await connection.execute_query_dict(_CLAIM, [id, settler])
    return Settling(id, settler) if rows else None


@contextlib.asynccontextmanager
async def _renewed(claim: Settling) -> AsyncIterator[None]:
    """Keep the claim while the block runs; what it finds out about its loss the next look finds, too."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEWAL)
            with contextlib.suppress(*AWAY, LeaseLost):
                await claim.still_held()

    renewal = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)


def _come_back(id: UUID) -> None:
    """Ring again in a moment, instead of holding a thread of the worker until then; should that be lost, the reconciler rings."""

    def ring() -> None:
        _coming_back.discard(id)
        rings.ring_soon((rings.SETTLE,), id)

    if id not in _coming_back:
        _coming_back.add(id)
        asyncio.get_running_loop().call_later(PAUSE, ring)


async def _adjust(runtime: Runtime, application: Application, claim: Settling) -> None:
    """Bring the service to the last success, its replicas to the wanted ones, and restart it when that was wished."""
    name = application.service_name
    runs = await restore(runtime, application, claim.still_held)
    if runs:
        service = await runtime.engine.service(name)
        if service is not None and service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 0) != application.replicas:
            await claim.still_held()
            await docker.scale_service(runtime.docker, name, application.replicas)
        if application.restart_wish > application.granted:
            await claim.still_held()
            await docker.restart_service(runtime.docker, name)
    await database().execute_query(_GRANTED, [application.id, claim.settler, application.wished, runs])
