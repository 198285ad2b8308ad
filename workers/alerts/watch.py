"""A round: which rules are broken, and which are kept again. What has changed is stored, and queued for whoever is told of it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from models.alerts import DEFAULTS, KEPT
from models.database import database
from workers.alerts.changes import Found, store
from workers.alerts.measures import MEASURES, Measure, told
from workers.runtime import Runtime

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
        then m.lowest >= r.threshold else m.highest <= r.threshold * $3 end
"""
_MOOT: Final = """
    select a.id as application, a.project_id as project, a.name, o.metric, o.severity, o.id as open, o.created_at,
           o.threshold as most, o.current
    from alert o join application a on a.id = o.application_id
    where o.status = 'raised' and (a.deleted_at is not null or a.replicas = 0 or not exists (
        select from jsonb_to_recordset(coalesce(a.alert_rules, $1::jsonb)) as r (metric text, severity text)
        where r.metric = o.metric and r.severity = o.severity and case r.metric {applies} end
    ))
"""
_DEFAULTS: Final = json.dumps([asdict(rule) for rule in DEFAULTS])
_OVER: Final = "Nothing is watched any more: it was stopped, or its rules or limits have changed"


async def watch(runtime: Runtime) -> None:
    """Raise what is to be raised and resolve what is over, each change in a transaction with the notifications of it."""
    for metric, measure in MEASURES.items():
        for row in await database().execute_query_dict(_statement(measure), [_DEFAULTS, metric.value, measure.calm]):
            rounded = {name: round(row[name], measure.digits) for name in ("current", "most")}
            await store(Found.of(row | rounded), told(metric, row))
    for row in await database().execute_query_dict(_MOOT.format(applies=_applies()), [_DEFAULTS]):
        await store(Found.of(row), _OVER)


async def forget() -> None:
    """Delete the alerts that were resolved long ago."""
    await database().execute_query("delete from alert where status = 'resolved' and resolved_at < $1", [datetime.now(UTC) - KEPT])


def _statement(measure: Measure) -> str:
    return _SEEN.format(rules=_RULES, readings=measure.readings, applies=measure.applies)


def _applies() -> str:
    return " ".join(f"when '{metric.value}' then {measure.applies}" for metric, measure in MEASURES.items())
