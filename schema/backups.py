"""Backups of databases."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import strawberry

import models
import workers
from models.lifecycle import UNFINISHED
from schema.access import Role
from schema.backup_files import file_of, told
from schema.context import Context
from schema.errors import Conflict
from schema.fields import Node, entity
from schema.files import Content, File
from schema.following import progressing
from schema.held import held
from schema.inputs import Input
from schema.page import sorting
from schema.resource import Resource
from schema.rules import Pattern
from schema.scalars import BigInt

BackupSort = sorting("databaseBackup", "created_at", "size", "name")

BackupName = Annotated[str, Pattern(r"[A-Za-z0-9][A-Za-z0-9 ._:-]*", "must be letters, digits, spaces and . _ : -", 1, 100)]


class BackupFilters:
    """What backups can be filtered by."""

    status: models.TaskStatus
    trigger: models.BackupTrigger


@entity(models.DatabaseBackup, scope="project_id")
class DatabaseBackup(Node):
    """What a database held at one moment, once it is `completed`: stored, and read back to its end. Sizes in bytes."""

    database_id: strawberry.ID
    name: str
    trigger: models.BackupTrigger
    type: models.DatabaseType
    version: str
    status: models.TaskStatus
    step: str | None
    transferred: BigInt
    compress: bool
    storage: models.StorageKind
    encrypted: bool
    file_name: str | None
    size: BigInt | None
    checksum: str | None
    error_code: str | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


backups = Resource("backup", DatabaseBackup, path="/databases/{id}/backups")

VIEW = """
    id databaseId name trigger type version status step transferred compress storage encrypted fileName size checksum
    errorCode errorMessage startedAt finishedAt createdAt
"""
LINKS = {"self": "backups.get", "restore": "backups.restore", "download": "backups.download", "database": "databases.get"}
OWN_LINKS = {"self": "backups.get", "database": "databases.get"}


@strawberry.pydantic.input
class NewBackupInput(Input):
    """A backup that shall be made; without a `storage` it goes where the schedule of the database, or else the installation says."""

    name: BackupName | None = None
    compress: bool = True
    storage: models.StorageKind | None = None


@backups.query("/{backupId}", needs=Role.viewer, view=VIEW, links=LINKS)
async def get(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> models.DatabaseBackup:
    """Get one backup of a database."""
    return backup


@backups.delete("/{backupId}", needs=Role.admin)
async def delete(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> None:
    """Delete a backup that has ended; its data go in the background."""
    row = await held(backup)
    if row.status in UNFINISHED:
        raise Conflict("The backup is being made: cancel it first.", reason="NOT_ENDED")
    if await models.DatabaseRestore.filter(backup_id=row.id, status__in=UNFINISHED).exists():
        raise Conflict("The backup is being restored.", reason="BUSY")
    await workers.database_wishes.forget(row)


@backups.post("/{backupId}/cancel", status=202, needs=Role.developer, view="id status", links=OWN_LINKS)
async def cancel(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> models.DatabaseBackup:
    """Cancel a backup; what was stored of it is removed."""
    found: models.DatabaseBackup = await workers.database_wishes.cancel(models.DatabaseBackup, backup.id)
    return found


@backups.download("/{backupId}/download", needs=Role.developer)
async def download(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> File:
    """Download a backup: what the engine's own tool has written, decrypted; each download is entered in the audit trail."""
    return await file_of(backup)


@backups.upload(
    "/upload", status=202, needs=Role.admin, view="backupId: id status", links={"backup": "backups.get", "restore": "backups.restore"}
)
async def upload(ctx: Context, database: models.Database, content: Content, name: BackupName | None = None) -> models.DatabaseBackup:
    """Upload a backup that the engine's own tool has written, as it is or in gzip's format: it counts once it was read back.

    A file of the storage that this installation has encrypted is taken from its owners and admins, and decrypted.
    """
    with told():
        return await workers.upload_backup(database, name, content.chunks, unsealing=ctx.operator, enter=content.enter)


@strawberry.type
class BackupProgress:
    """How far a backup is: `transferred` bytes have passed in this step. `timestamp` is when it was so, at last when it ended."""

    status: models.TaskStatus
    step: str | None
    transferred: BigInt
    size: BigInt | None
    checksum: str | None
    error_code: str | None
    error_message: str | None
    timestamp: datetime


@backups.stream("/{backupId}/progress", needs=Role.viewer, view="status step transferred size checksum errorCode errorMessage timestamp")
async def progress(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> AsyncIterator[BackupProgress]:
    """Follow a backup: how far it is, then every change, a few in a second at most, up to its end.

    It ends when whoever follows may no longer see the backup, or their session has ended.
    """
    async with aclosing(progressing(ctx, DatabaseBackup, backup)) as states:
        async for row in states:
            yield BackupProgress(
                status=row.status,
                step=row.step,
                transferred=row.transferred,
                size=row.size,
                checksum=row.checksum,
                error_code=row.error_code,
                error_message=row.error_message,
                timestamp=row.finished_at or datetime.now(UTC),
            )
