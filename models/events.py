"""Events of deployments: rows with a sequence number per deployment; the bell only wakes whoever waits (PIPELINE 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient

from models.enums import EventKind, LogLevel
from models.feed import Part
from models.lifecycle import IS_ACTIVE, TERMINAL
from models.rows import Deployment, Event

_BATCH = 500


@dataclass(frozen=True)
class Entry:
    """What is to be appended."""

    kind: EventKind
    message: str
    level: LogLevel = LogLevel.info
    progress: int = 0
    """The deployment's percentage when it happened; 0 leaves it as it is."""


async def append(
    connection: BaseDBAsyncClient,
    deployment: UUID,
    entries: Sequence[Entry],
    *,
    guard: str = "true",
    values: Sequence[Any] = (),
) -> bool:
    """Append entries to a deployment that still satisfies `guard` (SQL over `deployment`, its parameters from $8).

    One statement numbers and stores them, so sequence numbers have no gap; it raises the deployment's progress, too.
    Returns whether the guard held. Wake the readers after the commit.
    """
    rows = await connection.execute_query_dict(
        f"""
        with numbered as (
            update deployment set last_seq = last_seq + $2, progress = greatest(progress, $7) where id = $1 and ({guard})
            returning last_seq - $2 as base, status, progress
        )
        insert into event (deployment_id, seq, at, kind, status, stage, progress, level, message)
        select $1, base + e.n, clock_timestamp(), e.kind, status,
               case when {IS_ACTIVE} then status end, coalesce(nullif(e.progress, 0), numbered.progress), e.level, e.message
        from numbered, unnest($3::text[], $4::text[], $5::text[], $6::int[]) with ordinality as e (kind, level, message, progress, n)
        returning seq
        """,  # noqa: S608
        [
            deployment,
            len(entries),
            [entry.kind.value for entry in entries],
            [entry.level.value for entry in entries],
            [entry.message for entry in entries],
            [entry.progress for entry in entries],
            max(entry.progress for entry in entries),
            *values,
        ],
    )
    return bool(rows)


async def after(deployment: UUID, seq: int, limit: int = _BATCH) -> list[Event]:
    """The events of a deployment that follow a sequence number, in order."""
    return await Event.filter(deployment_id=deployment, seq__gt=seq).order_by("seq").limit(limit)


async def part(deployment: UUID, seq: int) -> Part[Event]:
    """The next events of a deployment after a sequence number; the last one is the terminal one."""
    found = await after(deployment, seq)
    if found:
        return Part(found, found[-1].kind is EventKind.status and found[-1].status in TERMINAL)
    ended = await _ended_at(deployment)
    return Part((), ended is not None and ended <= seq)


async def _ended_at(deployment: UUID) -> int | None:
    """The sequence number of a deployment's last event when it has ended, 0 when it is gone; None while it lives."""
    row = await Deployment.get_or_none(id=deployment).only("id", "status", "last_seq")
    if row is None:
        return 0
    return row.last_seq if row.status in TERMINAL else None
