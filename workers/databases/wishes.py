"""What the API may ask of databases: each stores a wish in the caller's transaction and rings for it."""

from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from models import (
    BackupTrigger,
    Database,
    DatabaseBackup,
    DatabaseRestore,
    DatabaseStatus,
    Project,
    StorageKind,
    TaskStatus,
)
from models.backup_storage import NoStorage
from models.database import together
from models.lifecycle import UNFINISHED
from models.settings import settings
from workers.databases import ENGINES
from workers.databases.contract import Swap
from workers.databases.credentials import generated, password
from workers.databases.rings import next_soon
from workers.databases.tasks import Change, Event, Kind, apply, is_lent
from workers.facts import Contradiction

_RESTARTING = frozenset({"name", "memory_limit", "configuration"})
"""What a server has to be started again for."""
LONGEST_NAME = 30
"""Characters of a name that the names of its service, secrets and volumes begin with."""
MOST_WAITING = 10
"""Backups and restores of one database that may wait."""


async def create(project: Project, **columns: Any) -> Database:
    """A database that will be made."""
    engine = ENGINES[columns["type"]]
    service = f"{columns['name'].lower()[:LONGEST_NAME].rstrip('-')}-{token_hex(4)}"
    database = await Database.create(
        project_id=project.id,
        service_name=service,
        volume=f"{service}-data",
        credentials=generated(engine, columns["name"]),
        **columns,
    )
    next_soon(database.id)
    return database


async def _locked(database: Database) -> Database:
    row = await Database.filter(id=database.id, deleted_at__isnull=True).select_for_update().first()
    if row is None:
        raise Contradiction("The database has just been deleted.", "DELETED")
    return row


async def wish(database: Database, **columns: Any) -> Database:
    """Wish for a database that is otherwise."""
    async with together():
        row = await _locked(database)
        await row.update_from_dict({**columns, "wished": row.wished + 1}).save()
    next_soon(row.id)
    return row


async def change(database: Database, **columns: Any) -> Database:
    """Wish for a database that is otherwise. Raises `Contradiction` while its data are in use and its server would be restarted."""
    async with together():
        if columns.keys() & _RESTARTING:
            await _idle(await _locked(database))
        return await wish(database, **columns)


async def start(database: Database) -> Database:
    """Wish for a database that runs; one that does so already is left alone."""
    async with together():
        row = await _locked(database)
        return await wish(row, stopped=False, status=DatabaseStatus.starting) if row.stopped else row


async def stop(database: Database) -> Database:
    """Wish for a database that does not run. Raises `Contradiction` while something is done with its data."""
    async with together():
        await _idle(await _locked(database))
        return await wish(database, stopped=True)


async def restart(database: Database) -> Database:
    """Wish for another container. Raises `Contradiction` when it is stopped, or while something is done with its data."""
    async with together():
        row = await _locked(database)
        _runs(row)
        await _idle(row)
        return await wish(row, restart_wish=row.wished + 1)


async def rotate(database: Database) -> Database:
    """Wish for another password. Raises `Contradiction` when it is stopped, or while something is done with its data."""
    async with together():
        row = await _locked(database)
        _runs(row)
        await _idle(row)
        return await wish(row, credentials={**row.credentials, "next_password": row.credentials.get("next_password") or password()})


async def remove(database: Database, *, delete_volumes: bool, delete_backups: bool) -> None:
    """Wish a database away: it is gone from the API at once, what runs of it goes in the background.

    Raises `Contradiction` while another database is being filled with one of its backups.
    """
    async with together():
        row = await _locked(database)
        for kind in (DatabaseBackup, DatabaseRestore):
            for task in await kind.filter(database_id=row.id, status__in=UNFINISHED).order_by("id"):
                await _cancel(kind, task)
        now = datetime.now(UTC)
        await DatabaseBackup.filter(database_id=row.id, deleted_at__isnull=True).update(deleted_at=now)
        if await is_lent(row.id):
            raise Contradiction("Another database is being filled with a backup of this one.", "BUSY")
        await wish(row, deleted_at=now, delete_volumes=delete_volumes, delete_backups=delete_backups)


def _runs(row: Database) -> None:
    if row.stopped:
        raise Contradiction("The database is stopped.", "DATABASE_STOPPED")


async def _idle(row: Database) -> None:
    if await _unfinished(row):
        raise Contradiction("The database is being backed up or restored.", "BUSY")


async def _unfinished(row: Database) -> int:
    found = 0
    for kind in (DatabaseBackup, DatabaseRestore):
        found += await kind.filter(database_id=row.id, status__in=UNFINISHED).count()
    return found


async def _roomy(row: Database) -> None:
    if await _unfinished(row) >= MOST_WAITING:
        raise Contradiction(f"{MOST_WAITING} backups and restores of the database wait already.", "TOO_MANY")


async def back_up(
    database: Database,
    *,
    name: str | None,
    compress: bool = True,
    storage: StorageKind | None = None,
    trigger: BackupTrigger = BackupTrigger.manual,
) -> DatabaseBackup:
    """A backup that will be made. Raises `Contradiction` when the database is stopped, too many wait, or there is no such storage.

    One of a schedule is made all the same where there is no such storage: that it failed then stands among the backups.
    """
    async with together():
        row = await _ready(database)
        backup = _drafted(row, name, trigger, compress, storage)
        if trigger is not BackupTrigger.schedule:
            configured(backup.storage)
        await backup.save(force_create=True)
    next_soon(row.id)
    return backup


def configured(storage: StorageKind) -> None:
    """See that the installation has such a storage. Raises `Contradiction`."""
    if storage is StorageKind.s3 and settings().backup_s3 is None:
        raise Contradiction(str(NoStorage()), NoStorage.code)


async def _ready(database: Database) -> Database:
    row = await _locked(database)
    _runs(row)
    await _roomy(row)
    return row


async def upload(database: Database, name: str | None) -> DatabaseBackup:
    """A backup that will be what is uploaded; it is not stored yet. Raises `Contradiction` as `back_up` does."""
    async with together():
        backup = _drafted(await _ready(database), name, BackupTrigger.upload, False, None)
        configured(backup.storage)
        return backup


async def uploaded(database: Database, backup: DatabaseBackup) -> None:
    """An upload that is in its storage, and will be looked at. Raises `Contradiction` as `back_up` does: it may have taken hours."""
    async with together():
        row = await _ready(database)
        await backup.save(force_create=True)
    next_soon(row.id)


def _drafted(row: Database, name: str | None, trigger: BackupTrigger, compress: bool, storage: StorageKind | None) -> DatabaseBackup:
    chosen = storage or StorageKind((row.schedule or {}).get("storage") or settings().backup_storage)
    return DatabaseBackup(
        database_id=row.id,
        project_id=row.project_id,
        name=name or f"{row.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        trigger=trigger,
        type=row.type,
        version=row.version,
        compress=compress,
        storage=chosen,
        encrypted=settings().backup_encryption,
    )


async def restore(database: Database, backup: DatabaseBackup, *, safely: bool) -> DatabaseRestore:
    """A restore of a backup into a database, that of which it is or another one, after a backup of what is there.

    Raises `Contradiction` when the backup does not count, the database is stopped or being made, too many wait, or what is there has no
    storage to go to.
    """
    async with together():
        row = await _locked(database)
        found = await DatabaseBackup.filter(id=backup.id, deleted_at__isnull=True).select_for_update().first()
        if found is None or found.status is not TaskStatus.completed:
            raise Contradiction("The backup is not complete.", "BACKUP_NOT_COMPLETED")
        if safely or isinstance(ENGINES[row.type].restore, Swap):
            _runs(row)
        await _roomy(row)
        safety = await _safety(row, found) if safely else None
        restore = await DatabaseRestore.create(
            database_id=row.id, project_id=row.project_id, backup_id=found.id, safety_backup_id=safety.id if safety else None
        )
    next_soon(row.id)
    return restore


async def _safety(row: Database, restored: DatabaseBackup) -> DatabaseBackup:
    backup = _drafted(row, f"before-{restored.name}"[:100], BackupTrigger.safety, True, None)
    configured(backup.storage)
    await backup.save(force_create=True)
    return backup


async def cancel(kind: Kind, id: Any) -> Any:
    """Cancel a backup or a restore: one that waits has ended at once, one that runs once it is taken back.

    Asked again it changes nothing. Raises `Contradiction` when it has ended.
    """
    async with together():
        task = await kind.get(id=id)
        await Database.filter(id=task.database_id).select_for_update().first()
        task = await kind.get(id=id)
        if task.status not in UNFINISHED:
            raise Contradiction(f"It has ended: {task.status.value}.", "ALREADY_ENDED")
        await _cancel(kind, task)
    next_soon(task.database_id)
    return await kind.get(id=id)


async def _cancel(kind: Kind, task: DatabaseBackup | DatabaseRestore) -> None:
    await apply(Change(kind, Event.cancel if task.status is TaskStatus.pending else Event.ask_cancel, task.id))


async def forget(backup: DatabaseBackup) -> None:
    """Wish a backup away: it is gone from the API at once, its data go in the background."""
    await DatabaseBackup.filter(id=backup.id).update(deleted_at=datetime.now(UTC))
