"""What becomes of alerts, for those who follow: each change has a number, and they come to light in the order of their numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from models.bell import bell
from models.database import AWAY, fetch
from models.enums import AlertMetric, AlertSeverity, AlertStatus
from models.watcher import Telling

log = structlog.get_logger()

EVERYBODYS: Final = UUID(int=0x616C6572)
"""What the bell is rung for when the alert of any application changes."""

_BATCH: Final = 200
_CHANGED: Final = """
    select id, application_id, project_id, metric, severity, status, threshold, current, message, created_at, resolved_at, seq
    from alert where ($1::uuid is null or application_id = $1) and seq > $2 {} order by seq limit $3
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

    @property
    def key(self) -> UUID:
        """Whose state it is."""
        return self.id


async def after(application: UUID | None, seq: int) -> list[Changed]:
    """The alerts of an application, or of all, that have changed after a number, some of them; each as it is now."""
    return await _changed("", application, seq)


async def last_seq() -> int:
    """The number of the last change of any alert."""
    [[found]] = await fetch(_LAST)
    return int(found)


async def open_of(application: UUID) -> list[Changed]:
    """The alerts of an application that are not resolved, those that were raised first at first."""
    return await _changed("and status = 'raised'", application, 0)


async def _changed(which: str, application: UUID | None, seq: int) -> list[Changed]:
    rows: list[Any] = await fetch(_CHANGED.format(which), application, seq, _BATCH)
    return [
        Changed(
            **dict(row)
            | {"metric": AlertMetric(row["metric"]), "severity": AlertSeverity(row["severity"]), "status": AlertStatus(row["status"])}
        )
        for row in rows
    ]


class Changes(Telling):
    """Reads what becomes of the alerts of all applications, once for all who watch in this process; nothing while nobody does."""

    async def _run(self) -> None:
        seq: int | None = None
        with bell.heard(EVERYBODYS) as ear:
            while True:
                ear.clear()
                try:
                    seq = await last_seq() if seq is None else await self._tell(seq)
                except AWAY as error:
                    log.warning("alert_changes.database_away", error=type(error).__name__)
                except Exception:
                    log.exception("alert_changes.unexpected")
                await ear.wait()

    async def _tell(self, seq: int) -> int:
        """Tell what has changed after a number. The number of the last change that was told."""
        while found := await after(None, seq):
            seq = found[-1].seq
            for watcher in self._watchers:
                watcher.put(found)
        return seq


changes: Final = Changes()
