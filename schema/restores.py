"""Restores of databases."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import strawberry
from tortoise.transactions import in_transaction

import models
import workers
from schema.access import Role
from schema.backups import backups
from schema.context import Context
from schema.database_inputs import DatabaseName, sibling
from schema.fields import Node, entity
from schema.following import progressing
from schema.inputs import Input
from schema.page import sorting
from schema.resource import Resource
from schema.scalars import BigInt

RestoreSort = sorting("databaseRestore", "created_at")


class RestoreFilters:
    """What restores can be filtered by."""

    status: models.TaskStatus


@entity(models.DatabaseRestore, scope="project_id")
class DatabaseRestore(Node):
    """A database's data being replaced by those of a backup; unless it is `completed`, they are as they were. `transferred` in bytes."""

    database_id: strawberry.ID
    backup_id: strawberry.ID
    safety_backup_id: strawberry.ID | None
    status: models.TaskStatus
    step: str | None
    transferred: BigInt
    error_code: str | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime


restores = Resource("restore", DatabaseRestore, path="/databases/{id}/restores")

VIEW = """
    id databaseId backupId safetyBackupId status step transferred errorCode errorMessage startedAt finishedAt createdAt
"""
LINKS = {"self": "restores.get", "database": "databases.get"}


@strawberry.pydantic.input
class RestoreInput(Input):
    """Where a backup is restored: into a new database of this name, or else into its own, of which a backup is made first."""

    new_database_name: DatabaseName | None = None
    safety_backup: bool = True


@backups.post("/{backupId}/restore", status=202, needs=Role.admin, view="id databaseId status", links=LINKS)
async def restore(ctx: Context, database: models.Database, backup: models.DatabaseBackup, input: RestoreInput) -> models.DatabaseRestore:
    """Restore a backup; a restore that fails leaves the data as they were."""
    async with in_transaction():
        target = database if input.new_database_name is None else await sibling(database, input.new_database_name)
        safely = input.safety_backup and target is database
        return await workers.database_wishes.restore(target, backup, safely=safely)


@restores.query("/{restoreId}", needs=Role.viewer, view=VIEW, links=LINKS)
async def get(ctx: Context, database: models.Database, restore: models.DatabaseRestore) -> models.DatabaseRestore:
    """Get one restore of a database."""
    return restore


@restores.post("/{restoreId}/cancel", status=202, needs=Role.admin, view="id status", links=LINKS)
async def cancel(ctx: Context, database: models.Database, restore: models.DatabaseRestore) -> models.DatabaseRestore:
    """Cancel a restore; the data are as they were."""
    found: models.DatabaseRestore = await workers.database_wishes.cancel(models.DatabaseRestore, restore.id)
    return found


@strawberry.type
class RestoreProgress:
    """How far a restore is: `transferred` bytes of the backup, which has `size`, have passed in this step.

    `timestamp` is when it was so, at last when it ended.
    """

    status: models.TaskStatus
    step: str | None
    transferred: BigInt
    size: BigInt | None
    error_code: str | None
    error_message: str | None
    timestamp: datetime


@restores.stream("/{restoreId}/progress", needs=Role.viewer, view="status step transferred size errorCode errorMessage timestamp")
async def progress(ctx: Context, database: models.Database, restore: models.DatabaseRestore) -> AsyncIterator[RestoreProgress]:
    """Follow a restore: how far it is, then every change, a few in a second at most, up to its end.

    It ends when whoever follows may no longer see the restore, or their session has ended.
    """
    backup = await models.DatabaseBackup.get_or_none(id=restore.backup_id)
    async with aclosing(progressing(ctx, DatabaseRestore, restore)) as states:
        async for row in states:
            yield RestoreProgress(
                status=row.status,
                step=row.step,
                transferred=row.transferred,
                size=backup.size if backup else None,
                error_code=row.error_code,
                error_message=row.error_message,
                timestamp=row.finished_at or datetime.now(UTC),
            )
