"""What runs, as Swarm tells it: a database's status follows its container, and a service that is not as it shall be is settled."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from models import Database, DatabaseStatus
from models.database import database
from workers.convergence import REVISION_LABEL, Task
from workers.databases.desired import DATABASE_LABEL
from workers.runtime import Runtime

log = structlog.get_logger()

_AT_REST: Final = """
    d.wished = d.granted and d.deleted_at is null and (d.settle_until is null or d.settle_until < now())
    and not exists (select from database_restore r where r.database_id = d.id and r.status = 'running')
"""
_FOLLOW: Final = f"update database d set status = $2, error_message = $3 where d.id = $1 and d.status <> $2 and {_AT_REST}"  # noqa: S608
_UNSETTLE: Final = f"update database d set wished = wished + 1 where d.id = $1 and {_AT_REST}"  # noqa: S608


async def refresh(runtime: Runtime) -> None:
    """Let every database that nobody works on follow its service."""
    ids = [row["id"] for row in await database().execute_query_dict(f"select id from database d where {_AT_REST}")]  # noqa: S608
    if not ids:
        return
    services = {entry["Spec"]["Name"]: entry for entry in await runtime.engine.services(DATABASE_LABEL)}
    tasks = await runtime.engine.all_tasks()
    for row in await Database.filter(id__in=ids):
        service = services.get(row.service_name)
        if service is None or has_drifted(service, row.revision, row.stopped):
            log.warning("databases.drifted", database=str(row.id), service=row.service_name)
            await database().execute_query(_UNSETTLE, [row.id])
            continue
        status, trouble = reading(tasks.get(service["ID"], []), row.revision, row.stopped)
        if status is not row.status:
            await database().execute_query(_FOLLOW, [row.id, status.value, trouble])


def has_drifted(service: Mapping[str, Any], revision: str | None, stopped: bool) -> bool:
    """Whether a service is another one than is wanted, or has another number of replicas."""
    spec = service["Spec"]
    replicas = spec["Mode"].get("Replicated", {}).get("Replicas", 0)
    return bool((spec.get("Labels") or {}).get(REVISION_LABEL) != revision or replicas != (0 if stopped else 1))


def reading(tasks: Sequence[Task], revision: str | None, stopped: bool) -> tuple[DatabaseStatus, str | None]:
    """The status as the tasks of a service tell it, and why it does not run."""
    if stopped:
        return DatabaseStatus.stopped, None
    ours = [task for task in tasks if task.revision == revision]
    if any(task.state == "running" and task.wanted for task in ours):
        return DatabaseStatus.running, None
    failed = [task for task in ours if task.state in ("failed", "rejected", "orphaned")]
    if not failed:
        return DatabaseStatus.starting, None
    last = max(failed, key=lambda task: task.timestamp)
    return DatabaseStatus.error, f"The server ended ({last.error[:200]}) and is started again: see its logs."
