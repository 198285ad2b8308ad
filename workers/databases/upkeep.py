"""What is stored of backups that do not count: those that failed, were cancelled or deleted."""

import structlog
from models.backup_storage import StorageFailed

from models import DatabaseBackup
from models.database import database
from workers.databases.artefacts import discard
from workers.runtime import Runtime

log = structlog.get_logger()

_VOID = """
    select id from database_backup where object_name is not null and (status in ('failed', 'cancelled') or deleted_at is not null)
    and not exists (select from database_restore r where r.backup_id = database_backup.id and r.status in ('pending', 'running'))
    limit 100
"""


async def discard_void(runtime: Runtime) -> None:
    """Remove the data of backups that do not count; one at a time, and one storage that is away does not keep the others."""
    for row in await database().execute_query_dict(_VOID):
        backup = await DatabaseBackup.get(id=row["id"])
        try:
            await discard(backup.storage, str(backup.object_name))
        except StorageFailed as error:
            log.warning("databases.not_discarded", backup=str(backup.id), error=str(error))
            continue
        await DatabaseBackup.filter(id=backup.id).update(object_name=None)
