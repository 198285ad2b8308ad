"""Settling wishes: an application's service is scaled, restarted, brought back or removed as the database has it.

Claimed and fenced like a stage: one settler at a time owns the application's service, for as long as it renews its lease, never while
a deployment changes that service, and it looks once more before each step.
"""

import asyncio
from uuid import UUID

import structlog

from models import Application, background
from models.database import database
from models.lifecycle import IS_ACTIVE
from workers import docker, rings
from workers.claims import Claim, Claims
from workers.engine import EngineUnavailable
from workers.journal import LeaseLost
from workers.removal import StillInUse, remove
from workers.restore import restore
from workers.runtime import Runtime
from workers.surroundings import ForeignVolume

log = structlog.get_logger()

PAUSE = 1.0
"""Seconds until the next look at what is still ending."""

_CLAIMS = Claims(
    "application",
    f"""not exists (select from deployment d where d.application_id = t.id and d.{IS_ACTIVE}
                    and (d.status = 'deploying' or t.deleted_at is not null))""",
)
_GRANTED = """
    update application set granted = greatest(granted, $3),
        status = case when status = 'deploying' or not $4 then status when replicas = 0 then 'stopped' else 'running' end,
        health_status = case when replicas = 0 then 'unknown' else health_status end
    where id = $1 and settler = $2
"""

_coming_back: set[UUID] = set()


async def settle(runtime: Runtime, id: UUID) -> None:
    """Grant an application's wishes, unless somebody else is at its service."""
    claim = await _CLAIMS.take(id, runtime.name)
    if claim is None:
        return
    next_in_line = rings.ring_waiting
    try:
        await claim.during(_settled(runtime, claim))
        next_in_line = rings.ring_next
    except StillInUse:
        _come_back(id)
    except LeaseLost:
        log.warning("settle.lease_lost", application=str(id))
        return
    except (docker.DockerError, EngineUnavailable, ForeignVolume) as error:
        log.warning("settle.refused", application=str(id), error=str(error))
    finally:
        await claim.release()
    background.start(next_in_line(id))


async def _settled(runtime: Runtime, claim: Claim) -> None:
    application = await Application.get(id=claim.id)
    if application.deleted_at is None:
        await _adjust(runtime, application, claim)
    else:
        await remove(runtime, application, claim.still_held)


def _come_back(id: UUID) -> None:
    """Ring again in a moment, instead of holding a thread of the worker until then; should that be lost, the reconciler rings."""

    def ring() -> None:
        _coming_back.discard(id)
        rings.ring_soon((rings.SETTLE,), id)

    if id not in _coming_back:
        _coming_back.add(id)
        asyncio.get_running_loop().call_later(PAUSE, ring)


async def _adjust(runtime: Runtime, application: Application, claim: Claim) -> None:
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
