"""What becomes of alerts, stored: each change with its number and with the notifications of it, one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

from tortoise.transactions import in_transaction
from uuid_utils.compat import uuid7

from models import AlertMetric, AlertSeverity, AlertStatus, NotificationEvent, notifications
from models.alert_changes import EVERYBODYS
from models.bell import wake, wake_soon
from models.database import after_commit, database

_LOCK: Final = 0x616C7274
"""The advisory lock of whoever stores changes: so their numbers come to light in their order."""

_RAISE: Final = """
    insert into alert (id, created_at, application_id, project_id, metric, severity, status, threshold, current, message, seq)
    select $1, $2, a.id, a.project_id, $4, $5, 'raised', $6, $7, $8, nextval('alert_seq') from application a
    where a.id = $3 and a.deleted_at is null
    on conflict (application_id, metric, severity) where status = 'raised' do nothing returning id
"""
_RESOLVE: Final = """
    update alert set status = 'resolved', resolved_at = $2, current = $3, message = $4, seq = nextval('alert_seq')
    where id = $1 and status = 'raised' returning id
"""
_OPEN: Final = """
    select a.id as application, a.project_id as project, a.name, o.metric, o.severity, o.threshold as most, o.current, o.id as open,
           o.created_at
    from alert o join application a on a.id = o.application_id where a.id = $1 and o.status = 'raised' order by o.seq
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a rule: what is taken and what may be, and its alert if one is open, since `created_at`."""

    application: UUID
    project: UUID
    name: str
    """Of the application."""
    metric: AlertMetric
    severity: AlertSeverity
    most: float
    current: float
    open: UUID | None
    created_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """What a row says."""
        kept = {name: row[name] for name in ("application", "project", "name", "most", "current", "open", "created_at")}
        return cls(**kept, metric=AlertMetric(row["metric"]), severity=AlertSeverity(row["severity"]))


async def lock() -> None:
    """Let nobody else store changes until the transaction under way ends. Whoever locks an application, too, does this first."""
    await database().execute_query("select pg_advisory_xact_lock($1)", [_LOCK])


async def store(found: Found, message: str) -> None:
    """Raise the alert of a rule, or resolve the one that is open, unless somebody else has."""
    async with in_transaction():
        await lock()
        if not await _stored(found, message):
            return
    await wake(found.application, EVERYBODYS)


async def resolve_all(application: UUID, message: str) -> None:
    """Resolve what is open of an application, within the transaction of whoever has the lock."""
    rows = await database().execute_query_dict(_OPEN, [application])
    for row in rows:
        await _stored(Found.of(row), message)
    if rows:
        after_commit(partial(wake_soon, application, EVERYBODYS))


async def _stored(found: Found, message: str) -> bool:
    now = datetime.now(UTC)
    if found.open is None:
        about = [found.application, found.metric.value, found.severity.value, found.most, found.current, message]
        rows = await database().execute_query_dict(_RAISE, [uuid7(), now, *about])
    else:
        rows = await database().execute_query_dict(_RESOLVE, [found.open, now, found.current, message])
    if not rows:
        return False
    status = AlertStatus.raised if found.open is None else AlertStatus.resolved
    event = NotificationEvent.alert_raised if found.open is None else NotificationEvent.alert_resolved
    await notifications.queue(found.project, event, _data(found, rows[0]["id"], status, message, now))
    return True


def _data(found: Found, id: UUID, status: AlertStatus, message: str, now: datetime) -> dict[str, Any]:
    """What channels are told, in the words of the API."""
    return {
        "alertId": id,
        "applicationId": found.application,
        "applicationName": found.name,
        "projectId": found.project,
        "metric": found.metric,
        "severity": found.severity,
        "status": status,
        "threshold": found.most,
        "current": found.current,
        "message": message,
        "raisedAt": found.created_at or now,
        "resolvedAt": None if status is AlertStatus.raised else now,
    }
