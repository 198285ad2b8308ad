"""Removing what runs of a deleted database: service, containers, secrets, volumes and backups when asked for, the network, the row."""

from models import Application, Database, DatabaseBackup, TaskStatus
from workers import docker
from workers.databases.artefacts import discard
from workers.databases.containers import DatabaseFailed
from workers.databases.replacing import remove_servers
from workers.databases.service import StillHeld, gone
from workers.databases.surroundings import remove_secrets, remove_volumes
from workers.databases.tasks import is_lent
from workers.desired import network_of
from workers.runtime import Runtime


async def remove(runtime: Runtime, row: Database, still_held: StillHeld) -> None:
    """Remove everything that ran of a database, and then its row; `still_held` is asked before each step.

    Raises `DockerError`, `EngineUnavailable`, `DatabaseFailed`, `StorageFailed`, and what `still_held` raises.
    """
    await still_held()
    await remove_servers(runtime, row)
    await gone(runtime, row, entirely=True)
    if await is_lent(row.id):
        raise DatabaseFailed("BUSY", "One of its backups is being restored.")
    await still_held()
    await remove_secrets(runtime, row)
    if row.delete_volumes:
        await remove_volumes(runtime, row)
    for backup in await DatabaseBackup.filter(database_id=row.id, object_name__isnull=False):
        if row.delete_backups or backup.status is not TaskStatus.completed or backup.deleted_at != row.deleted_at:
            await still_held()
            await discard(backup.storage, str(backup.object_name))
    await still_held()
    await _remove_network(runtime, row)
    await Database.filter(id=row.id).delete()


async def _remove_network(runtime: Runtime, row: Database) -> None:
    """Remove the project's network together with the last that was in it."""
    for model in (Application, Database):
        if await model.filter(project_id=row.project_id, deleted_at__isnull=True).exists():
            return
    try:
        await docker.remove_network(runtime.docker, network_of(row.project_id))
    except docker.DockerFailed:
        return  # what ends in it has not ended yet: it is found as nobody's
