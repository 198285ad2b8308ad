"""What the containers of applications and databases print: numbered lines, stored in chunks, bounded for each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from models.database import connection, database
from models.enums import LogLevel
from models.feed import Part
from models.settings import settings

MIB: Final = 1 << 20
OVERHEAD: Final = 32
"""Bytes that a line takes beside its message."""
SLACK: Final = 1.25
"""Times of what is kept that there may be before the oldest is thrown away."""
WINDOW: Final = 32
"""Chunks that are looked through first; each time that they are not enough, four times as many."""
CHUNKS: Final = 4
"""Chunks that whoever follows is given at a time."""
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

_STORE: Final = """
    with stream as (
        insert into log_stream as s (subject_id, last_seq, bytes)
        select $1, $2::bigint + $3, $4
        where (exists (select 1 from application where id = $1 and deleted_at is null)
            or exists (select 1 from database where id = $1 and deleted_at is null))
          and not (cardinality($5::text[]) > 0 and (
            select count(*) from log_position p join unnest($5::text[], $6::text[]) as each (container_id, read_to)
              on p.container_id = each.container_id and p.read_to = each.read_to) = cardinality($5::text[]))
        on conflict (subject_id) do update set last_seq = s.last_seq + $2 + $3, bytes = s.bytes + $4
        returning last_seq, bytes
    ), positions as (
        insert into log_position (container_id, subject_id, read_to)
        select each.container_id, $1, each.read_to from stream, unnest($5::text[], $6::text[]) as each (container_id, read_to)
        on conflict (container_id) do update set read_to = excluded.read_to
    ), chunk as (
        insert into log_chunk (subject_id, first_seq, last_seq, newest_at, bytes, at, level, replica, message)
        select $1, last_seq - $2 + 1, last_seq, $7::text::timestamptz, $4, $8::text[]::timestamptz[], $9::text[], $10::int[], $11::text[]
        from stream
    ), counted_lost as (
        insert into counted (name, label, number) select 'lost_lines', '', $3 from stream where $3 > 0
    )
    select bytes from stream
"""
_TRIM: Final = """
    with kept as (
        select first_seq, sum(bytes) over (order by first_seq desc) as bytes from log_chunk where subject_id = $1
    ), gone as (
        delete from log_chunk c using kept where c.subject_id = $1 and c.first_seq = kept.first_seq and kept.bytes > $2 returning c.bytes
    )
    update log_stream set bytes = bytes - (select coalesce(sum(gone.bytes), 0) from gone) where subject_id = $1
"""
_EACH: Final = """
    select c.first_seq + e.n - 1 as seq, e.at, e.level, e.replica, e.message,
           case when e.n > 1 then 0 else coalesce(c.first_seq - 1 - (
               select p.last_seq from log_chunk p where p.subject_id = $1 and p.first_seq < c.first_seq order by p.first_seq desc limit 1
           ), 0) end as lost
    from c, unnest(c.at, c.level, c.replica, c.message) with ordinality as e (at, level, replica, message, n)
"""
_LINES: Final = f"""
    with c as (select * from log_chunk where subject_id = $1 and first_seq < $2 and newest_at >= $3 order by first_seq desc limit $4)
    {_EACH} where e.at >= $3 and e.level = any($5::text[]) and position($6 in lower(e.message)) > 0
    order by seq desc limit $7
"""  # noqa: S608 (ours)
_AFTER: Final = f"""
    with c as (select * from log_chunk where subject_id = $1 and last_seq > $2 order by first_seq limit $3)
    {_EACH} where c.first_seq + e.n - 1 > $2 order by seq
"""  # noqa: S608
_OLDER: Final = """
    select first_seq from log_chunk where subject_id = $1 and first_seq < $2 and newest_at >= $3 order by first_seq desc offset $4 limit 1
"""
_NAME: Final = "select service_name from application where id = $1 union all select service_name from database where id = $1"
_SWEEP: Final = """
    delete from log_stream s
    where not exists (select 1 from application where id = s.subject_id and deleted_at is null)
      and not exists (select 1 from database where id = s.subject_id and deleted_at is null)
"""


@dataclass(frozen=True, slots=True)
class Printed:
    """A line as it is to be stored; `at` is its time as the Engine writes it, nine digits of a second."""

    at: str
    level: LogLevel
    replica: int
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    """A stored line; `seq` counts from 1 for each application or database, and what it leaves out was lost."""

    seq: int
    at: datetime
    level: LogLevel
    replica: int
    message: str
    lost: int = 0
    """Lines that are missing right before it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines somebody wants to see."""

    since: datetime = BEGINNING
    level: LogLevel = LogLevel.debug
    """The least serious one."""
    search: str = ""
    """What is in the message, in capitals or not."""
    levels: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Say which levels that is."""
        serious = list(LogLevel)
        object.__setattr__(self, "levels", [each.value for each in serious[serious.index(self.level) :]])

    def takes(self, at: datetime, level: LogLevel, message: str) -> bool:
        """Whether a line is one of them."""
        return at >= self.since and level.value in self.levels and self.search.lower() in message.lower()


async def store(subject: UUID, lines: Sequence[Printed], lost: int, read_to: Mapping[str, str]) -> bool:
    """Number and store lines of an application or a database, `lost` of which are missing before them, and how far containers were read.

    `read_to` says of each container how far that is, another text with each line: where that is what is stored already, the lines are, and
    only the answer to that was lost. Returns whether they were stored now.
    """
    size = sum(len(each.message.encode()) + OVERHEAD for each in lines)
    found = await database().execute_query_dict(
        _STORE,
        [
            *(subject, len(lines), lost, size, list(read_to), list(read_to.values()), max(each.at for each in lines)),
            [each.at for each in lines],
            [each.level.value for each in lines],
            [each.replica for each in lines],
            [each.message for each in lines],
        ],
    )
    most = settings().log_retention * MIB
    if found and found[0]["bytes"] > most * SLACK:
        await database().execute_query(_TRIM, [subject, most])
    return bool(found)


async def read_to(container_id: str) -> str | None:
    """How far a container was read, as it was stored with its last lines."""
    found = await database().execute_query_dict("select read_to from log_position where container_id = $1", [container_id])
    return found[0]["read_to"] if found else None


async def forget(container_ids: Sequence[str]) -> None:
    """Forget how far containers were read that there are no more."""
    await database().execute_query("delete from log_position where container_id = any($1::text[])", [list(container_ids)])


async def sweep() -> None:
    """Throw away what belongs to applications and databases that were deleted."""
    await database().execute_query(_SWEEP)


async def last(subject: UUID, count: int, wanted: Wanted) -> list[Line]:
    """The last lines, at most so many, in their order."""
    before, window = (1 << 62), WINDOW
    found: list[Line] = []
    async with connection() as asking:
        while len(found) < count:
            rows = await asking.fetch(
                _LINES, subject, before, wanted.since, window, wanted.levels, wanted.search.lower(), count - len(found)
            )
            found += map(_line, rows)
            oldest = await asking.fetchval(_OLDER, subject, before, wanted.since, window - 1)
            if oldest is None:
                break
            before, window = oldest, window * 4
    return found[::-1]


def _line(row: Mapping[str, Any]) -> Line:
    return Line(row["seq"], row["at"], LogLevel(row["level"]), row["replica"], row["message"], row["lost"])


async def after(subject: UUID, seq: int) -> Part[Line]:
    """The next lines after a number; there is no last one."""
    async with connection() as asking:
        return Part([_line(each) for each in await asking.fetch(_AFTER, subject, seq, CHUNKS)])


async def next_after(subject: UUID, seq: int, count: int, wanted: Wanted) -> tuple[list[Line], int]:
    """The next lines after a number, at most so many, and up to which number these are all."""
    found: list[Line] = []
    while len(found) < count and (lines := (await after(subject, seq)).items):
        found += [each for each in lines if wanted.takes(each.at, each.level, each.message)]
        seq = lines[-1].seq
    return (found[:count], found[count - 1].seq) if len(found) > count else (found, seq)


async def service_name(subject: UUID) -> str:
    """What the containers of an application or a database are named after; nothing when it is gone."""
    async with connection() as asking:
        return await asking.fetchval(_NAME, subject) or ""


async def last_seq(subject: UUID) -> int:
    """The number of the last line; 0 when there is none."""
    async with connection() as asking:
        return await asking.fetchval("select last_seq from log_stream where subject_id = $1", subject) or 0
