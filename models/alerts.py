"""Alerts: what an application is watched for, and what was raised of it and is resolved again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tortoise import fields

from models.database import fetch
from models.enums import AlertMetric, AlertSeverity, AlertStatus
from models.feed import Part
from models.rows import Application, Project, Row

EVERYBODYS: Final = UUID(int=0x616C6572)
"""What the bell is rung for, and the feed is called, of the alerts of all applications."""
KEPT: Final = timedelta(days=90)
"""How long an alert is listed after it was resolved."""

_BATCH: Final = 200
_CHANGED: Final = """
    select id, application_id, project_id, metric, severity, status, threshold, current, message, created_at, resolved_at, seq
    from alert where ($1::uuid is null or application_id = $1) and seq > $2 order by seq limit $3
"""
_OPEN: Final = "select min(seq) - 1 as before from alert where application_id = $1 and status = 'raised'"
_LAST: Final = "select coalesce(max(seq), 0) from alert"


@dataclass(frozen=True, slots=True)
class Rule:
    """What raises an alert: a metric that is at its threshold, or above, for so many seconds. An application has one for each severity.

    The threshold is a percentage of what there may be; of restarts it is how many there were in that time.
    """

    metric: AlertMetric
    severity: AlertSeverity
    threshold: float
    duration: int


DEFAULTS: Final = (
    Rule(AlertMetric.memory, AlertSeverity.warning, 90, 60),
    Rule(AlertMetric.memory, AlertSeverity.critical, 95, 60),
    Rule(AlertMetric.restarts, AlertSeverity.warning, 3, 600),
)
"""The rules of an application that nobody has made others for."""


class Alert(Row):
    """That a rule was broken, from `created_at` until `resolved_at`."""

    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    metric = fields.CharEnumField(AlertMetric, max_length=16)
    severity = fields.CharEnumField(AlertSeverity, max_length=16)
    status = fields.CharEnumField(AlertStatus, max_length=16, default=AlertStatus.raised)
    threshold = fields.FloatField()
    """What there may be: MiB of memory, cores, restarts, or percent of the requests."""
    current = fields.FloatField()
    """What there was when it was raised, or resolved."""
    message = fields.TextField()
    resolved_at = fields.DatetimeField(null=True)
    seq = fields.BigIntField(unique=True)
    """The number of its last change, which grows with every change of any alert."""

    class Meta:
        """Of a rule one is open at most: an index of the migration holds it."""

        table = "alert"
        indexes = (("application_id", "seq"), ("application_id", "created_at"), ("project_id", "created_at"), ("created_at",))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Changed:
    """An alert as its last change has left it."""

    id: UUID
    application_id: UUID
    project_id: UUID
    metric: AlertMetric
    severity: AlertSeverity
    status: AlertStatus
    threshold: float
    current: float
    message: str
    created_at: datetime
    resolved_at: datetime | None
    seq: int


async def after(key: UUID, seq: int) -> Part[Changed]:
    """The alerts of an application, or of all of them (`EVERYBODYS`), that have changed after a number; each as it is now."""
    rows: list[Any] = await fetch(_CHANGED, None if key == EVERYBODYS else key, seq, _BATCH)
    return Part([Changed(*row) for row in rows])


async def last_seq() -> int:
    """The number of the last change of any alert."""
    [[found]] = await fetch(_LAST)
    return int(found)


async def before_open(application: UUID) -> int | None:
    """The number right before the first alert of an application that is open; None when none is."""
    [[found]] = await fetch(_OPEN, application)
    return None if found is None else int(found)
