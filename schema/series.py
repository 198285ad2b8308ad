"""What applications and databases have taken in the course of time: periods and steps, and one series for each thing that is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import strawberry

import models
from models import metrics
from models.metrics import Point
from schema.rules import Between, OneOf
from schema.scalars import BigInt

MOST: Final = 1000
"""Points of a series."""
MIB: Final = 1 << 20


@dataclass(frozen=True)
class _Period:
    length: timedelta
    step: int
    """Seconds, when nobody says another one."""


PERIODS: Final = {
    "1h": _Period(timedelta(hours=1), 60),
    "6h": _Period(timedelta(hours=6), 300),
    "24h": _Period(timedelta(hours=24), 900),
    "7d": _Period(timedelta(days=7), 3600),
    "30d": _Period(timedelta(days=30), 14_400),
}

Period = Annotated[str, OneOf(*PERIODS)]
Step = Annotated[int, Between(1, 30 * 86_400)]

_TAKEN: Final = "cpu { timestamp value } memory { timestamp value } networkRx { timestamp value } networkTx { timestamp value }"
OF_DATABASE: Final = f"period step metrics {{ {_TAKEN} }}"
OF_APPLICATION: Final = f"period step metrics {{ {_TAKEN} requests {{ timestamp value }} errors {{ timestamp value }} }}"


@strawberry.type
class MetricValue:
    """What something was in the mean, from a time on."""

    timestamp: datetime
    value: float


@strawberry.type
class MetricCount:
    """A whole number from a time on: of memory the mean, of all else how much there was until the next point's time."""

    timestamp: datetime
    value: BigInt


@strawberry.type
class ApplicationSeries:
    """What all containers took together: CPU in cores, memory in MiB, network in bytes; no point where nothing was measured or counted."""

    cpu: list[MetricValue]
    memory: list[MetricCount]
    network_rx: list[MetricCount]
    network_tx: list[MetricCount]
    requests: list[MetricCount]
    errors: list[MetricCount]


@strawberry.type
class ApplicationMetrics:
    """What an application took; `step` is the one that was used, in seconds, and the last point of each series is unfinished."""

    period: str
    step: int
    metrics: ApplicationSeries


@strawberry.type
class DatabaseSeries:
    """What the server took: CPU in cores, memory in MiB, network in bytes; no point where nothing was measured."""

    cpu: list[MetricValue]
    memory: list[MetricCount]
    network_rx: list[MetricCount]
    network_tx: list[MetricCount]


@strawberry.type
class DatabaseMetrics:
    """What a database took; `step` is the one that was used, in seconds, and the last point of each series is unfinished."""

    period: str
    step: int
    metrics: DatabaseSeries


async def of_application(row: models.Application, period: str, step: int | None) -> ApplicationMetrics:
    """What an application took."""
    used, points = await _points(row, period, step)
    series = ApplicationSeries(
        cpu=_values(points),
        memory=_memory(points),
        network_rx=_counts(points, lambda each: each.network_rx),
        network_tx=_counts(points, lambda each: each.network_tx),
        requests=_counts(points, lambda each: each.requests),
        errors=_counts(points, lambda each: each.errors),
    )
    return ApplicationMetrics(period=period, step=used, metrics=series)


async def of_database(row: models.Database, period: str, step: int | None) -> DatabaseMetrics:
    """What a database took."""
    used, points = await _points(row, period, step)
    series = DatabaseSeries(
        cpu=_values(points),
        memory=_memory(points),
        network_rx=_counts(points, lambda each: each.network_rx),
        network_tx=_counts(points, lambda each: each.network_tx),
    )
    return DatabaseMetrics(period=period, step=used, metrics=series)


def step_of(period: str, wanted: int | None) -> int:
    """The step that is used for one that is wanted (DECISIONS 10).

    It is a multiple of what is stored for the period, makes `MOST` points at most, and is no longer than the period.
    """
    length = PERIODS[period].length
    stored = metrics.level_of(length).seconds
    whole = int(length.total_seconds())
    step = max(wanted or PERIODS[period].step, -(-whole // MOST))
    return min(-(-step // stored) * stored, whole)


async def _points(row: models.Application | models.Database, period: str, wanted: int | None) -> tuple[int, list[Point]]:
    step = step_of(period, wanted)
    return step, await metrics.series(row.id, PERIODS[period].length, timedelta(seconds=step), datetime.now(UTC))


def _values(points: list[Point]) -> list[MetricValue]:
    return [MetricValue(timestamp=each.at, value=round(each.cpu, 4)) for each in points if each.cpu is not None]


def _memory(points: list[Point]) -> list[MetricCount]:
    return _counts(points, lambda each: None if each.memory is None else round(each.memory / MIB))


def _counts(points: list[Point], value: Callable[[Point], int | None]) -> list[MetricCount]:
    return [MetricCount(timestamp=each.at, value=BigInt(number)) for each in points if (number := value(each)) is not None]
