"""Events of deployments: rows with a sequence number per deployment; Redis only wakes whoever waits (PIPELINE 7)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import structlog
from tortoise.backends.base.client import BaseDBAsyncClient

from models import background, valkey
from models.enums import EventKind, LogLevel
from models.lifecycle import IS_ACTIVE, TERMINAL
from models.rows import Deployment, Event

log = structlog.get_logger()

CHANNEL = "dokploy:events"
PATIENCE = 1.0
"""Seconds after which a waiting reader looks again even when nobody woke it."""
_BATCH = 500

Check = Callable[[], Awaitable[None]]
"""Looks whether somebody may go on; raises when they may not."""


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


async def _ended_at(deployment: UUID) -> int | None:
    """The sequence number of a deployment's last event when it has ended, 0 when it is gone; None while it lives."""
    row = await Deployment.get_or_none(id=deployment).only("id", "status", "last_seq")
    if row is None:
        return 0
    return row.last_seq if row.status in TERMINAL else None


class Bell:
    """Wakes the readers of this process: one subscription to Redis for all of them; without Redis they look once a second."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start listening."""
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, and waking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await valkey.close()

    async def _listen(self) -> None:
        while True:
            try:
                async with valkey.listener() as client, client.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self._wake(message["data"].decode(errors="replace"))
            except valkey.AWAY as error:
                log.warning("events.redis_away", error=str(error))
                await asyncio.sleep(PATIENCE)

    def _wake(self, deployment: str) -> None:
        for waiting in self._waiting.get(deployment, ()):
            waiting.set()

    async def follow(self, deployment: UUID, seq: int, check: Check | None = None, every: float = 0.0) -> AsyncIterator[Event]:
        """The events after `seq` as they come, up to and including the terminal one; none when it lies before.

        When so many seconds have passed, `check` comes before the next event or, at the latest, `PATIENCE` later; what it raises ends this.
        """
        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        key, checked = str(deployment), loop.time()
        self._waiting.setdefault(key, set()).add(woken)

        async def still() -> None:
            nonlocal checked
            if check is not None and loop.time() - checked >= every:
                await check()
                checked = loop.time()

        try:
            while True:
                woken.clear()
                await still()
                ended = await _ended_at(deployment)
                found = await after(deployment, seq)
                for event in found:
                    await still()
                    seq = event.seq
                    yield event
                    if event.kind is EventKind.status and event.status in TERMINAL:
                        return
                if found:
                    continue
                if ended is not None and ended <= seq:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), PATIENCE)
        finally:
            waiting = self._waiting[key]
            waiting.discard(woken)
            if not waiting:
                del self._waiting[key]


bell = Bell()


async def wake(*deployments: UUID) -> None:
    """Wake whoever follows these deployments; when Redis is away they look by themselves within a second."""
    try:
        async with valkey.client().pipeline(transaction=False) as pipeline:
            for deployment in deployments:
                pipeline.publish(CHANNEL, str(deployment))
            await pipeline.execute()
    except valkey.AWAY as error:
        log.warning("events.redis_away", error=str(error))


def wake_soon(*deployments: UUID) -> None:
    """Wake whoever follows these deployments, without waiting for it."""
    background.start(wake(*deployments))
