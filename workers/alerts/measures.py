"""What each metric of a rule is, in SQL and in words. A new metric is one more declaration here, and its name in `AlertMetric`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from models import AlertMetric
from models.metrics import FRESH, SAMPLES

STORING: Final = 30
"""Seconds after which what was measured is stored at the latest."""
FEWEST: Final = 10
"""Requests; the share of the errors among fewer says nothing."""


@dataclass(frozen=True)
class Measure:
    """A metric of an application.

    `readings` is a subquery of one row, or none, over the application `a` and its rule `r`. `lowest` and `highest` are what there was in
    the rule's time, in the unit of its threshold; `whole` is whether that is known of all of that time; `current` and `most` are what
    there is and what there may be, as people are told. `applies` is whether the application can have it at all. An alert is resolved once
    `highest` has fallen to the share `calm` of the threshold, so that what swings around the threshold is one alert.
    """

    readings: str
    applies: str
    calm: float
    said: Callable[[float, float], str]
    over: str = "for"
    """How its time is meant."""
    unit: str = " %"
    """Of its threshold."""
    digits: int = 0
    """Of what is told."""


def _of_limit(column: str, unit: float) -> str:
    """What all containers take of what all of them may take. Both were measured together, so that neither scaling nor a new version, nor a
    host of which nothing is heard, looks like calm or like trouble.
    """
    return f"""
        select min(taken * 100 / most) as lowest, max(taken * 100 / most) as highest,
               (array_agg(taken order by at desc))[1] as current, (array_agg(most order by at desc))[1] as most,
               count(*) >= greatest(r.duration / {SAMPLES.seconds}, 1)
               and max(at) > now() - interval '{FRESH.total_seconds()} seconds' as whole
        from (
            select at, sum({column})::float8 / {unit} as taken, sum({column}_limit)::float8 / {unit} as most from metric
            where subject_id = a.id and resolution = {SAMPLES.seconds}
              and at > now() - make_interval(secs => r.duration + {STORING}) and at < now() + interval '{SAMPLES.seconds} seconds'
            group by at having count({column}) = count(*) and count({column}_limit) = count(*)
        ) slot
    """  # noqa: S608 (constants of our own)


_RESTARTS: Final = """
    select count(*) as lowest, count(*) as highest, r.threshold as most, count(*) as current, true as whole
    from restart where application_id = a.id and at > now() - make_interval(secs => r.duration)
"""
_ERRORS: Final = f"""
    select case when requests >= {FEWEST} then errors * 100 / requests end as lowest,
           coalesce(errors * 100 / nullif(requests, 0), 0) as highest, coalesce(errors * 100 / nullif(requests, 0), 0) as current,
           r.threshold as most, true as whole
    from (
        select coalesce(sum(requests), 0)::float8 as requests, coalesce(sum(errors), 0)::float8 as errors from traffic
        where application_id = a.id and created_at > now() - make_interval(secs => greatest(r.duration, 2 * {STORING}))
    ) counted
"""  # noqa: S608 (constants of our own)

MEASURES: Final[Mapping[AlertMetric, Measure]] = MappingProxyType(
    {
        AlertMetric.memory: Measure(
            readings=_of_limit("memory", 1 << 20),
            applies="a.resources ->> 'memory_limit' is not null",
            calm=0.95,
            said=lambda current, most: f"{current:.0f} of {most:.0f} MiB of memory",
        ),
        AlertMetric.cpu: Measure(
            readings=_of_limit("cpu", 1),
            applies="a.resources ->> 'cpu_limit' is not null",
            calm=0.95,
            said=lambda current, most: f"{current:.2f} of {most:g} cores",
            digits=2,
        ),
        AlertMetric.restarts: Measure(
            readings=_RESTARTS,
            applies="true",
            calm=0.0,
            said=lambda current, most: f"{current:.0f} restart{'' if current == 1 else 's'}",
            over="within",
            unit="",
        ),
        AlertMetric.errors: Measure(
            readings=_ERRORS,
            applies="true",
            calm=0.95,
            said=lambda current, most: f"{current:.1f} % of the requests failed",
            over="within",
            digits=1,
        ),
    }
)


def told(metric: AlertMetric, row: Mapping[str, Any]) -> str:
    """What a row of `watch` says of a metric, as a sentence: what there is, and which threshold it has reached or is below of again."""
    measure = MEASURES[metric]
    there_is, threshold = measure.said(row["current"], row["most"]), f"{row['threshold']:g}{measure.unit}"
    if row["open"] is None:
        return f"{there_is}: {threshold} or more {measure.over} {row['duration']} s"
    return f"{there_is}: less than {threshold} again"
