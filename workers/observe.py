"""What runs, as Swarm tells it: an application's status and health follow its service, and a service that is not as recorded is settled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from models import ApplicationStatus, HealthStatus
from models.database import database
from models.lifecycle import IS_ACTIVE
from workers.convergence import Task, deployment_of
from workers.restarts import note, restarted
from workers.runtime import Runtime

log = structlog.get_logger()

RECENT = timedelta(seconds=15)
"""How long a container that ended although it was wanted speaks against the health of its application."""

_BAD = frozenset({"failed", "rejected", "orphaned"})

_AT_REST = f"""
    not exists (select from deployment d where d.application_id = a.id and d.{IS_ACTIVE})
    and a.wished = a.granted and a.deleted_at is null
"""
_LIVE = f"""
    select a.id, a.service_name, a.status, a.health_status, a.replicas, live.id as deployment
    from application a left join lateral (
        select id from deployment s where s.application_id = a.id and s.status = 'success' order by finished_at desc, id desc limit 1
    ) live on true where {_AT_REST}
"""  # noqa: S608 (constants of our own)
_FOLLOW = f"update application a set status = $2, health_status = $3 where a.id = $1 and {_AT_REST}"  # noqa: S608
_UNSETTLE = f"update application a set wished = wished + 1 where a.id = $1 and {_AT_REST}"  # noqa: S608


@dataclass(frozen=True)
class Wanted:
    """What an application's service should be."""

    deployment: str
    replicas: int


async def refresh(runtime: Runtime) -> None:
    """Let every application that nobody works on follow its service."""
    rows = await database().execute_query_dict(_LIVE)
    if not rows:
        return
    services = {entry["Spec"]["Name"]: entry for entry in await runtime.engine.services("dokploy.application")}
    tasks = await runtime.engine.all_tasks()
    restarts: dict[UUID, list[Task]] = {}
    for row in rows:
        service = services.get(row["service_name"])
        wanted = Wanted(str(row["deployment"]), row["replicas"]) if row["deployment"] else None
        drifted = has_drifted(service, wanted)
        if drifted:
            log.warning("observe.drifted", application=str(row["id"]), service=row["service_name"])
            await database().execute_query(_UNSETTLE, [row["id"]])
        if drifted or wanted is None:
            continue
        ours = [task for task in tasks.get((service or {}).get("ID", ""), []) if task.deployment == str(row["deployment"])]
        restarts[row["id"]] = restarted(ours)
        status, health = reading(ours, row["replicas"], datetime.now(UTC))
        seen = status.value if status else row["status"], health.value
        if seen != (row["status"], row["health_status"]):
            await database().execute_query(_FOLLOW, [row["id"], *seen])
    await note(restarts)


def has_drifted(service: Mapping[str, Any] | None, wanted: Wanted | None) -> bool:
    """Whether a service is gone, runs another deployment than the last success, or another number of replicas than wanted.

    Where nothing has succeeded there should be none: the child of a frozen worker may make one late.
    """
    if service is None or wanted is None:
        return (service is None) != (wanted is None)
    spec = service["Spec"]
    replicas = spec["Mode"].get("Replicated", {}).get("Replicas", 0)
    return bool(deployment_of(service) != wanted.deployment or replicas != wanted.replicas)


def reading(tasks: Sequence[Task], replicas: int, now: datetime) -> tuple[ApplicationStatus | None, HealthStatus]:
    """Status and health as the tasks of a service tell them; no status while that is open.

    A task that has a health check runs only once it is healthy, and Swarm ends one that no longer is.
    """
    if replicas == 0:
        return ApplicationStatus.stopped, HealthStatus.unknown
    running = [task for task in tasks if task.wanted and task.state == "running"]
    bad = _BAD if running else {*_BAD, "complete"}  # a container that is told to stop may end by itself first
    troubled = [task for task in tasks if now - task.timestamp < RECENT and (task.state in bad or (task.wanted and task.error))]
    settled = HealthStatus.healthy if len(running) >= replicas else HealthStatus.starting
    health = HealthStatus.unhealthy if troubled else settled
    if running:
        return ApplicationStatus.running, health
    return (ApplicationStatus.error if troubled else None), health
