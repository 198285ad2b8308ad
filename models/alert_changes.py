"""What becomes of alerts, for those who follow: each change has a number, and they come to light in the order of their numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from models.database import fetch
from models.enums import AlertMetric, AlertSeverity, AlertStatus
from models.feed import Part

EVERYBODYS: Final = UUID(int=0x616C6572)
"""What the bell is rung for, and the feed is called, of the alerts of all applications."""

_BATCH: Final = 200
_CHANGED: Final = """
    select id, application_id, project_id, metric, severity, status, threshold, current, message, created_at, resolved_at, seq
    from alert where ($1::uuid is null or application_id = $1) and seq > $2 and deleted_at is null {} order by seq limit $3
"""
_LAST: Final = "select coalesce(max(seq), 0) from alert"


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
    rows: list[Any] = await fetch(_CHANGED.format(""), None if key == EVERYBODYS else key, seq, _BATCH)
    return Part([Changed(*row) for row in rows])


async def last_seq() -> int:
    """The number of the last change of any alert."""
    [[found]] = await fetch(_LAST)
    return int(found)


async def open_of(application: UUID) -> list[Changed]:
    """The alerts of an application that are not resolved, those that were raised first at first."""
    rows: list[Any] = await fetch(_CHANGED.format("and status = 'raised'"), application, 0, _BATCH)
    return [Changed(*row) for row in rows]
