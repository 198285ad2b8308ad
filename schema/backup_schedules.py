"""When a database is backed up by itself, and which of those backups are kept."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import available_timezones

import strawberry
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

import models
import workers
from models.schedules import NoSchedule, closest, following
from schema.access import Role
from schema.context import Context
from schema.held import held
from schema.inputs import Input, refuse
from schema.resource import Resource
from schema.rules import Between, Pattern

CLOSEST: Final = timedelta(minutes=15)
"""Backups that come closer to each other nobody needs."""


def _known(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("time_zone", "must be the name of a time zone like Europe/Berlin")
    return name


Cron = Annotated[str, Pattern(r"[0-9A-Za-z*/,?#-]+(?: [0-9A-Za-z*/,?#-]+){4}", "must have the five fields of cron, like 0 3 * * *", 9, 100)]
TimeZone = Annotated[str, Pattern(r"[A-Za-z0-9_+/-]+", "must be the name of a time zone like Europe/Berlin", 1, 64), AfterValidator(_known)]


@strawberry.type
class BackupSchedule:
    """When a database is backed up by itself: `cron` is read in the time zone; null is never. A time that was missed is made up for.

    Of these backups the last `keepLast` are kept, and those that are younger than `keepDays`; null sets no limit, both null keeps all.
    """

    cron: str | None
    time_zone: str
    keep_last: int | None
    keep_days: int | None
    storage: models.StorageKind | None
    next_backup_at: datetime | None


@strawberry.pydantic.input
class BackupScheduleInput(Input):
    """A schedule; without `cron` there is none."""

    cron: Cron | None = None
    time_zone: TimeZone = "UTC"
    keep_last: Annotated[int, Between(1, 1000)] | None = 7
    keep_days: Annotated[int, Between(1, 3650)] | None = None
    storage: models.StorageKind | None = None


backup_schedule = Resource(
    "backup_schedule",
    path="/databases/{id}/backup-schedule",
    about="When databases are backed up by themselves, and which of those backups are kept.",
)

VIEW = "cron timeZone keepLast keepDays storage nextBackupAt"


def _shown(schedule: dict[str, Any] | None, at: datetime | None) -> BackupSchedule:
    given = schedule or {"cron": None, "time_zone": "UTC", "keep_last": None, "keep_days": None, "storage": None}
    storage = models.StorageKind(given["storage"]) if given["storage"] else None
    return BackupSchedule(**(given | {"storage": storage}), next_backup_at=at)


@backup_schedule.query("", needs=Role.viewer, view=VIEW)
async def get(ctx: Context, database: models.Database) -> BackupSchedule:
    """Get the schedule of a database's backups."""
    return _shown(database.schedule, database.next_backup_at)


@backup_schedule.put("", needs=Role.developer, view=VIEW)
async def replace(ctx: Context, database: models.Database, input: BackupScheduleInput) -> BackupSchedule:
    """Replace the schedule of a database's backups."""
    due = _due(input.cron, input.time_zone)
    if input.storage is not None:
        workers.database_wishes.configured(input.storage)
    schedule = {"cron": input.cron, "time_zone": input.time_zone, "keep_last": input.keep_last, "keep_days": input.keep_days}
    stored = {**schedule, "storage": input.storage.value if input.storage else None} if input.cron else None
    row = await held(database)
    await row.update_from_dict({"schedule": stored, "next_backup_at": due}).save(update_fields=["schedule", "next_backup_at", "updated_at"])
    return _shown(stored, due)


def _due(cron: str | None, time_zone: str) -> datetime | None:
    if cron is None:
        return None
    now = datetime.now(UTC)
    try:
        if closest(cron, time_zone, now) < CLOSEST:
            refuse("cron", "range", "may not name times that are closer to each other than 15 minutes", cron)
        return following(cron, time_zone, now)
    except NoSchedule:
        refuse("cron", "cron", "must have the five fields of cron, like 0 3 * * *, and name times that come", cron)
