"""Regular backups: when the next one is due, and having it made; after a time of standstill one makes up for all that were missed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from models import BackupTrigger, Database, DatabaseBackup, TaskStatus
from models.database import database, together
from models.schedules import following
from workers.databases.wishes import back_up
from workers.facts import Contradiction
from workers.runtime import Runtime

log = structlog.get_logger()

_DUE = "next_backup_at <= now() and deleted_at is null and schedule is not null"


async def make_due(runtime: Runtime) -> None:
    """Ask for the backups that are due, and forget those that are no longer to be kept; one bad row never stops the others."""
    for row in await database().execute_query_dict(f"select id from database where {_DUE} order by next_backup_at limit 100"):  # noqa: S608
        try:
            await _make(row["id"])
        except Exception as error:
            log.error("databases.bad_row", id=str(row["id"]), error=repr(error))
    for found in await Database.filter(schedule__isnull=False, deleted_at__isnull=True).only("id", "schedule"):
        await _forget(found)


async def _make(id: Any) -> None:
    row = await Database.get(id=id)
    if row.schedule is None:
        return
    due = following(row.schedule["cron"], row.schedule["time_zone"], max(datetime.now(UTC), row.next_backup_at or datetime.now(UTC)))
    async with together():
        if not await Database.filter(id=id, next_backup_at=row.next_backup_at).update(next_backup_at=due):
            return
        try:
            await back_up(row, name=None, trigger=BackupTrigger.schedule)
        except Contradiction as error:
            log.warning("databases.not_backed_up", database=str(id), reason=error.reason)


async def _forget(row: Database) -> None:
    """Mark the scheduled backups that neither belong to the last so many nor are younger than so many days; one whole is always kept."""
    schedule: Mapping[str, Any] = row.schedule or {}
    last, days = schedule.get("keep_last"), schedule.get("keep_days")
    if last is None and days is None:
        return
    own = DatabaseBackup.filter(
        database_id=row.id, trigger=BackupTrigger.schedule, status=TaskStatus.completed, deleted_at__isnull=True
    ).order_by("-id")
    kept = max(last or 1, 1)
    oldest = datetime.now(UTC) - timedelta(days=days) if days is not None else datetime.now(UTC)
    for backup in (await own)[kept:]:
        if backup.created_at < oldest:
            await DatabaseBackup.filter(id=backup.id).update(deleted_at=datetime.now(UTC))
