"""Lines on their way from the containers of a host into the database: gathered, put in order, stored in chunks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final
from uuid import UUID

import asyncpg
import structlog
from tortoise.exceptions import OperationalError

from models import container_logs
from models.bell import wake_soon
from models.container_logs import Printed
from models.database import AWAY

log = structlog.get_logger()

INTERVAL: Final = 0.2
"""Seconds that lines are gathered for."""
AWAY_PAUSE: Final = 0.5
"""Seconds until an absent database is tried again."""
CHUNK: Final = 2000
"""Lines stored by one statement."""
MOST_WAITING: Final = 4 * CHUNK
"""Lines of one application or database that wait to be stored; with more its containers are not read on, and the Engine keeps the rest."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines of one container, how far it is read with them, and how many are missing before them."""

    container: str
    lines: Sequence[Printed]
    read_to: str
    lost: int


@dataclass(slots=True)
class _Waiting:
    """What waits of one application or database."""

    parts: list[_Part] = field(default_factory=list)
    lines: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def next(self) -> list[_Part]:
        """The parts of the next chunk: what is missing is missing before its first line."""
        size, count = 0, 0
        while count < len(self.parts) and size < CHUNK and not (count and self.parts[count].lost):
            size += len(self.parts[count].lines)
            count += 1
        return self.parts[:count]

    def done(self, parts: Sequence[_Part]) -> None:
        """Forget the first parts, which are stored."""
        del self.parts[: len(parts)]
        self.lines -= sum(len(each.lines) for each in parts)
        self.room.set()


class LogWriter:
    """Stores lines, and wakes whoever follows them."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, _Waiting] = {}
        self._come = asyncio.Event()

    async def put(self, subject: UUID, container: str, lines: Sequence[Printed], read_to: str, lost: int = 0) -> None:
        """Add lines of a container, at least one, and how many are missing before them; returns when there is room for more.

        `read_to` is how far the container is read with them, another text each time (`log_frames.Position`).
        """
        waiting = self._waiting.setdefault(subject, _Waiting())
        waiting.parts.append(_Part(container, lines, read_to, lost))
        waiting.lines += len(lines)
        self._come.set()
        while waiting.lines > MOST_WAITING:
            waiting.room.clear()
            await waiting.room.wait()

    async def run(self) -> None:
        """Store what comes, until cancelled; an absent database is waited for."""
        while True:
            await self._come.wait()
            self._come.clear()
            await asyncio.sleep(INTERVAL)
            while self._waiting:
                try:
                    await self.flush()
                except AWAY as error:
                    log.warning("logs.database_away", error=type(error).__name__)
                    await asyncio.sleep(AWAY_PAUSE)
                except Exception:
                    log.exception("logs.unexpected")
                    await asyncio.sleep(AWAY_PAUSE)

    async def flush(self) -> None:
        """Store a chunk of each. Raises what the database does; what it cannot take at all is given up."""
        for subject, waiting in list(self._waiting.items()):
            parts = waiting.next()
            read_to = dict(sorted({each.container: each.read_to for each in parts}.items()))
            lines = sorted((line for each in parts for line in each.lines), key=attrgetter("at"))
            try:
                await container_logs.store(subject, lines, parts[0].lost, read_to)
            except OperationalError as error:
                if not isinstance(error.__cause__, asyncpg.DataError):
                    raise
                log.exception("logs.given_up", subject=str(subject), lines=len(lines))
            waiting.done(parts)
            if not waiting.parts:
                del self._waiting[subject]
            wake_soon(subject)
