"""A round: which rules are broken, and which are kept again. What has changed is stored, and queued for whoever is told of it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tortoise.transactions import in_transaction
from uuid_utils.compat import uuid7

from models import AlertMetric, AlertStatus, NotificationEvent, notifications
from models.alert_changes import EVERYBODYS
from models.alerts import DEFAULTS, KEPT
from models.bell import wake
from models.database import database
from workers.alerts.measures import MEASURES, Measure, told
from workers.runtime import Runtime

_LOCK: Final = 0x616C7274
"""The advisory lock of whoever stores changes: so their numbers come to light in their order."""

_RULES: Final = """
    application a cross join lateral jsonb_to_recordset(coalesce(a.alert_rules, $1::jsonb))
        as r (metric text, severity text, threshold float8, duration int)
"""
_SEEN: Final = """
    select a.id as application, a.project_id as project, a.name, r.metric, r.severity, r.threshold, r.duration, o.id as open, o.created_at,
           m.current, m.most
    from {rules} left join alert o on o.application_id = a.id and o.metric = r.metric and o.severity = r.severity and o.status = 'raised'
    cross join lateral ({readings}) m
    where a.deleted_at is null and a.replicas > 0 and r.metric = $2 and {applies} and m.whole and case when o.id is null
        then m.lowest >= r.threshold
             and not exists (select from deployment d where d.application_id = a.id and d.status = 'deploying')
        else m.highest <= r.threshold * $3 end
"""
"""While a version takes the place of another one there are containers of both, which may take more than one of them may."""
_MOOT: Final = """
    select a.id as application, a.project_id as project, a.name, o.metric, o.severity, o.id as open, o.created_at,
           o.threshold as most, o.current
    from alert o join application a on a.id = o.application_id
    where o.status = 'raised' and (a.deleted_at is not null or a.replicas = 0 or not exists (
        select from jsonb_to_recordset(coalesce(a.alert_rules, $1::jsonb)) as r (metric text, severity text)
        where r.metric = o.metric and r.severity = o.severity and case r.metric {applies} end
    ))
"""
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
_DEFAULTS: Final = json.dumps([asdict(rule) for rule in DEFAULTS])
_OVER: Final = "Nothing is watched any more: it was stopped, or its rules or limits have changed"


async def watch(runtime: Runtime) -> None:
    """Raise what is to be raised and resolve what is over, each change in a transaction with the notifications of it."""
    for metric, measure in MEASURES.items():
        for row in await database().execute_query_dict(_statement(measure), [_DEFAULTS, metric.value, measure.calm]):
            row["metric"] = metric
            rounded = {name: round(row[name], measure.digits) for name in ("current", "most")}
            await _changed(row | rounded, told(row))
    for row in await database().execute_query_dict(_MOOT.format(applies=_applies()), [_DEFAULTS]):
        await _changed(row, _OVER)


async def forget() -> None:
    """Delete the alerts that were resolved long ago."""
    await database().execute_query("delete from alert where status = 'resolved' and resolved_at < $1", [datetime.now(UTC) - KEPT])


def _statement(measure: Measure) -> str:
    return _SEEN.format(rules=_RULES, readings=measure.readings, applies=measure.applies)


def _applies() -> str:
    return " ".join(f"when '{metric.value}' then {measure.applies}" for metric, measure in MEASURES.items())


async def _changed(row: dict[str, Any], message: str) -> None:
    """Store that an alert was raised or resolved, unless somebody else has."""
    now = datetime.now(UTC)
    async with in_transaction() as transaction:
        await transaction.execute_query("select pg_advisory_xact_lock($1)", [_LOCK])
        if row["open"] is None:
            values = [
                uuid7(),
                now,
                row["application"],
                AlertMetric(row["metric"]).value,
                row["severity"],
                row["most"],
                row["current"],
                message,
            ]
            found = await transaction.execute_query_dict(_RAISE, values)
        else:
            found = await transaction.execute_query_dict(_RESOLVE, [row["open"], now, row["current"], message])
        if not found:
            return
        status = AlertStatus.raised if row["open"] is None else AlertStatus.resolved
        event = NotificationEvent.alert_raised if row["open"] is None else NotificationEvent.alert_resolved
        await notifications.queue(row["project"], event, _data(row, found[0]["id"], status, message, now))
    await wake(row["application"], EVERYBODYS)


def _data(row: dict[str, Any], id: UUID, status: AlertStatus, message: str, now: datetime) -> dict[str, Any]:
    """What channels are told, in the words of the API."""
    return {
        "alertId": str(id),
        "applicationId": str(row["application"]),
        "applicationName": row["name"],
        "projectId": str(row["project"]),
        "metric": str(row["metric"]),
        "severity": row["severity"],
        "status": status.value,
        "threshold": row["most"],
        "current": row["current"],
        "message": message,
        "raisedAt": _written(row["created_at"] or now),
        "resolvedAt": None if status is AlertStatus.raised else _written(now),
    }


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
