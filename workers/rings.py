"""Ringing from an event loop: after the commit, in a thread, and without making anybody wait for Redis."""

import asyncio
from uuid import UUID

import structlog
from dramatiq.errors import BrokerConnectionError
from redis.exceptions import RedisError

from models import DeploymentKind, DeploymentStatus, StageName, background
from models.database import after_commit, database
from models.lifecycle import IS_LIVING
from workers import broker
from workers.states import TASK_GRAPHS

log = structlog.get_logger()

ACTORS = {StageName.cloning: "clone", StageName.building: "build", StageName.deploying: "deploy"}
SETTLE = "settle"
SETTLE_DATABASE, BACK_UP, RESTORE = "settle_database", "back_up_database", "restore_database"

_QUEUES = {ACTORS[StageName.building]: broker.BUILDS, SETTLE: broker.WISHES} | dict.fromkeys(
    (SETTLE_DATABASE, BACK_UP, RESTORE), broker.DATABASES
)


def chain(kind: DeploymentKind, status: DeploymentStatus) -> tuple[str, ...]:
    """The actors that are left of a task graph, from the stage a deployment is in."""
    graph = TASK_GRAPHS[kind]
    at = 0 if status is DeploymentStatus.pending else graph.index(StageName(status.value))
    return tuple(ACTORS[stage] for stage in graph[at:])


def queue_of(actor: str) -> str:
    """The queue of an actor."""
    return _QUEUES.get(actor, broker.STAGES)


async def ring(actors: tuple[str, ...], id: UUID) -> None:
    """Ring, or leave it to the reconciler when Redis is away."""
    try:
        await asyncio.to_thread(broker.ring, [(actor, queue_of(actor)) for actor in actors], str(id))
    except (RedisError, BrokerConnectionError, OSError) as error:
        log.warning("rings.redis_away", id=str(id), error=str(error))


def ring_soon(actors: tuple[str, ...], id: UUID) -> None:
    """Ring without waiting for it, after the commit of whatever is under way."""
    after_commit(lambda: background.start(ring(actors, id)))


def next_soon(application: UUID) -> None:
    """Ring what comes next of an application without waiting for it, after the commit of whatever is under way."""
    after_commit(lambda: background.start(ring_next(application)))


async def ring_deployment(id: UUID, kind: DeploymentKind, status: DeploymentStatus) -> None:
    """Ring what is left of a deployment's task graph, and remember when."""
    await database().execute_query("update deployment set rung_at = now() where id = $1", [id])
    await ring(chain(kind, status), id)


async def ring_next(application: UUID) -> None:
    """Ring whatever an application waits for: a deployment, and its wishes."""
    await ring_waiting(application)
    if await database().execute_query_dict("select from application where id = $1 and wished > granted", [application]):
        await ring((SETTLE,), application)


async def ring_waiting(application: UUID) -> None:
    """Ring the stage of an application that nobody has claimed, else its oldest pending deployment."""
    rows = await database().execute_query_dict(
        f"select id, kind, status from deployment where application_id = $1 and {IS_LIVING} and worker is null "  # noqa: S608
        "order by status = 'pending', id limit 1",
        [application],
    )
    for row in rows:
        await ring_deployment(row["id"], DeploymentKind(row["kind"]), DeploymentStatus(row["status"]))
