"""What is stored of backups that do not count: those that failed, were cancelled or deleted."""

import asyncio

import structlog

from models import DatabaseBackup, StorageKind
from models.backup_storage import StorageFailed, storage
from models.database import database
from workers.databases.artefacts import discard
from workers.databases.containers import LONGEST
from workers.runtime import Runtime

log = structlog.get_logger()

_VOID = """
    select b.id from database_backup b join database d on d.id = b.database_id where b.object_name is not null
    and (b.status in ('failed', 'cancelled') or b.deleted_at <> coalesce(d.deleted_at, 'infinity'))
    and not exists (select from database_restore r where r.backup_id = b.id and r.status in ('pending', 'running'))
    order by random() limit 100
"""
"""Those that went together with their database are kept, unless that was to take them along: then its removal does it."""


async def discard_void(runtime: Runtime) -> None:
    """Remove the data of backups that do not count; one at a time, and one storage that is away does not keep the others."""
    away: set[StorageKind] = set()
    for row in await database().execute_query_dict(_VOID):
        backup = await DatabaseBackup.get_or_none(id=row["id"])
        if backup is None or backup.storage in away:
            continue
        try:
            await discard(backup.storage, str(backup.object_name))
        except StorageFailed as error:
            log.warning("databases.not_discarded", backup=str(backup.id), error=str(error))
            away.add(backup.storage)
            continue
        await DatabaseBackup.filter(id=backup.id).update(object_name=None)


async def remove_partial(runtime: Runtime) -> None:
    """Remove what workers that were killed have left of backups in the folder of this machine."""
    await asyncio.to_thread(storage(StorageKind.local).remove_partial, LONGEST)
