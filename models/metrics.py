"""What applications, databases and hosts take, as the monitors of all hosts have measured it.

A sample is of one host and ten seconds, and begins at a multiple of them on the host's clock; what an application takes at a time is the
sum over its hosts. `models.rollups` makes coarser values of samples. The edge counts requests by itself (`models.Traffic`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from models.database import database, fetch


@dataclass(frozen=True, slots=True)
class Level:
    """Values that stand for so many seconds each, and how long they are kept."""

    seconds: int
    kept: timedelta


SAMPLES: Final = Level(10, timedelta(hours=6))
MINUTES: Final = Level(60, timedelta(days=3))
QUARTERS: Final = Level(900, timedelta(days=30))
LEVELS: Final = (SAMPLES, MINUTES, QUARTERS)
FRESH: Final = timedelta(seconds=60)
"""After which what a host has measured is not taken for what is so now."""
COUNTED: Final = timedelta(seconds=15)
"""By which requests have come before they were stored, in the mean: that is done every 30 s (`workers.edge.counts.STORING`)."""

_STORE: Final = """
    with host as (
        insert into metric_host (node, at, cores, cpu, memory, disk, network_rx, network_tx) values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (node) do update set
            at = excluded.at, cores = excluded.cores, cpu = excluded.cpu, memory = excluded.memory, disk = excluded.disk,
            network_rx = excluded.network_rx, network_tx = excluded.network_tx
    )
    insert into metric as m (subject_id, resolution, at, node, cpu, memory, network_rx, network_tx, memory_limit, cpu_limit)
    select each.id, $9, $2, $1, each.cpu, each.memory, each.network_rx, each.network_tx, each.memory_limit, each.cpu_limit
    from unnest($10::uuid[], $11::float8[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::float8[])
        as each (id, cpu, memory, network_rx, network_tx, memory_limit, cpu_limit)
    where exists (select 1 from application where id = each.id and deleted_at is null)
       or exists (select 1 from database where id = each.id and deleted_at is null)
    on conflict (subject_id, resolution, at, node) do update set
        cpu = coalesce(excluded.cpu, m.cpu), memory = excluded.memory,
        memory_limit = excluded.memory_limit, cpu_limit = excluded.cpu_limit,
        network_rx = coalesce(m.network_rx + excluded.network_rx, m.network_rx, excluded.network_rx),
        network_tx = coalesce(m.network_tx + excluded.network_tx, m.network_tx, excluded.network_tx)
"""
_SERIES: Final = """
    with slot as (
        select at, sum(cpu) as cpu, sum(memory) as memory, sum(network_rx) as network_rx, sum(network_tx) as network_tx,
               sum(requests) as requests, sum(errors) as errors
        from metric where subject_id = $1 and resolution = $2 and at >= $3 and at <= $4 group by at
        union all
        select created_at - $6::interval, null, null, null, null, requests, errors from traffic
        where $2 = $7 and application_id = $1 and created_at >= $3 + $6::interval and created_at <= $4
    )
    select date_bin($5, at, 'epoch') as at, avg(cpu) as cpu, avg(memory)::bigint as memory, sum(network_rx)::bigint as network_rx,
           sum(network_tx)::bigint as network_tx, sum(requests)::bigint as requests, sum(errors)::bigint as errors
    from slot group by 1 order by 1
"""
_NOW: Final = """
    select m.subject_id, sum(m.cpu) as cpu, sum(m.memory)::bigint as memory, max(m.at) as at
    from metric m join metric_host h on h.node = m.node and h.at = m.at
    where m.subject_id = any($1::uuid[]) and m.resolution = $2 and m.at > $3 group by 1
"""
_HOSTS: Final = """
    select sum(cpu * cores) / sum(cores) filter (where cpu is not null) as cpu, sum(memory)::bigint as memory, sum(disk)::bigint as disk,
           sum(network_rx)::bigint as network_rx, sum(network_tx)::bigint as network_tx
    from metric_host where at > $1
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the containers of an application or a database took on one host; None is what is not known."""

    subject: UUID
    cpu: float | None
    """Cores."""
    memory: int | None
    """Bytes, as is all that follows."""
    network_rx: int | None
    network_tx: int | None
    memory_limit: int | None = None
    """What those containers might take together; None where one has no limit."""
    cpu_limit: float | None = None
    """The same, in cores."""


@dataclass(frozen=True, slots=True)
class Host:
    """What was taken of a host; None is what is not known."""

    node: str
    cores: int
    cpu: float | None
    """Of all its cores, 0 to 1."""
    memory: int
    """Bytes, as is all that follows."""
    disk: int
    network_rx: int | None
    network_tx: int | None


@dataclass(frozen=True, slots=True)
class Point:
    """What was taken from a time on: in the mean, or in all for network and requests. None where nothing was measured or counted."""

    at: datetime
    cpu: float | None
    memory: int | None
    network_rx: int | None
    network_tx: int | None
    requests: int | None
    errors: int | None


@dataclass(frozen=True, slots=True)
class Now:
    """What an application or a database takes on all hosts: cores, bytes."""

    cpu: float | None
    memory: int | None
    at: datetime
    """When that was measured."""


@dataclass(frozen=True, slots=True)
class System:
    """What is taken of all hosts that have been heard of lately; None while there are none."""

    cpu: float | None
    memory: int | None
    disk: int | None
    network_rx: int | None
    network_tx: int | None


async def store(at: datetime, host: Host, taken: Sequence[Taken]) -> None:
    """Store the round of a host in one statement: what was taken from `at` on, of applications and databases that there are.

    A second round in the same ten seconds, as after a restart, adds to the first one.
    """
    own = [host.node, at, host.cores, host.cpu, host.memory, host.disk, host.network_rx, host.network_tx]
    columns = (
        [each.subject for each in taken],
        [each.cpu for each in taken],
        [each.memory for each in taken],
        [each.network_rx for each in taken],
        [each.network_tx for each in taken],
        [each.memory_limit for each in taken],
        [each.cpu_limit for each in taken],
    )
    await database().execute_query(_STORE, [*own, SAMPLES.seconds, *columns])


async def series(subject: UUID, period: timedelta, step: timedelta, now: datetime) -> list[Point]:
    """What an application or a database has taken, a point for each step in which anything was measured; the last one is unfinished.

    It is read from the finest values that are kept for the period, so the step is at least as long as theirs (`level_of`).
    """
    level = level_of(period)
    begin = begin_of(now - period + step, step)
    rows = await fetch(_SERIES, subject, level.seconds, begin, now, step, COUNTED, SAMPLES.seconds)
    return [Point(*row) for row in rows]


async def current(subjects: Sequence[UUID], now: datetime) -> dict[UUID, Now]:
    """What each of some applications or databases takes, as the last round of each host has it; one that does not run is left out."""
    rows = await fetch(_NOW, subjects, SAMPLES.seconds, now - FRESH)
    ten = timedelta(seconds=SAMPLES.seconds)
    return {row["subject_id"]: Now(row["cpu"], row["memory"], row["at"] + ten) for row in rows}


async def system(now: datetime) -> System:
    """What is taken of all hosts."""
    [row] = await fetch(_HOSTS, now - FRESH)
    return System(*row)


def level_of(period: timedelta) -> Level:
    """The finest values that are kept for so long."""
    return next(level for level in LEVELS if level.kept >= period)


def begin_of(at: datetime, step: timedelta) -> datetime:
    """The beginning of the step that a time is in; steps are counted from 1970 on."""
    return datetime.fromtimestamp(at.timestamp() // step.total_seconds() * step.total_seconds(), at.tzinfo)
