"""Who reads what the containers of this host print: one follower for each, however many watch, from its first line to its last."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from models import LogLevel, container_logs
from models.container_logs import Printed
from models.database import AWAY
from workers.engine import EngineUnavailable
from workers.monitor.containers import LABELS, number_of, owner_of
from workers.monitor.log_frames import Frames, Position, Read
from workers.monitor.log_levels import level_of
from workers.monitor.log_writer import LogWriter

log = structlog.get_logger()

LOOK: Final = 1.0
"""Seconds between two looks for new containers."""
SWEEP: Final = 60.0
"""Seconds between two looks for the logs of what was deleted."""
SECOND: Final = 19
"""Characters of a time up to its whole seconds."""
LOST: Final = "… what was printed last was too much at once, and is lost"
MOST_LINES: Final = 20_000
"""Lines of one container in one second; what it prints beyond them is lost, and how much that was is told."""


class Printing(Protocol):
    """What is read of the Engine (`workers.engine.Engine`). Both raise `EngineUnavailable`."""

    async def containers(self, label: str) -> list[dict[str, Any]]:
        """The containers that have a label, running or not."""

    def follow_log(self, container_id: str, since: str) -> AsyncGenerator[bytes]:
        """What a container prints."""


@dataclass(frozen=True, slots=True)
class Source:
    """A container of a service, and whose it is."""

    container: str
    subject: UUID
    replica: int
    running: bool = True


def sources(containers: Iterable[Mapping[str, Any]]) -> list[Source]:
    """The containers that have begun: what is made and not begun has no log that does not end at once."""
    found = []
    for each in containers:
        owner, number = owner_of(each), number_of(each)
        if owner is not None and number is not None and each.get("State") != "created":
            found.append(Source(each["Id"], owner, number, each.get("State") == "running"))
    return found


class Allowance:
    """How many lines a container may still print in this second."""

    def __init__(self) -> None:
        self._left, self._second = MOST_LINES, ""

    def within(self, line: Read) -> bool:
        """Whether a line is one of them: the seconds are those in which lines were printed, however late they are read."""
        if line.at[:SECOND] != self._second:
            self._left, self._second = MOST_LINES, line.at[:SECOND]
        self._left -= 1
        return self._left >= 0


@dataclass(slots=True)
class _Reading:
    """How far a container was read, and what could not be stored yet."""

    source: Source
    """As it was when it was last begun to be read."""
    read_to: Position
    allowance: Allowance = field(default_factory=Allowance)
    lost: int = 0
    """Lines that were lost after the last one that was not."""
    unended: list[Read] = field(default_factory=list)
    """Lines that had no end when the log had; it ends also when the Engine does, and the container prints on."""

    @property
    def has_rest(self) -> bool:
        """Whether something is left to be stored once the container has ended."""
        return bool(self.unended or self.lost)


class Followers:
    """Follows every container of an application or a database."""

    def __init__(self, engine: Printing, writer: LogWriter) -> None:
        self._engine, self._writer = engine, writer
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By container; those that ended stay until their container is gone, unless they are to be begun again."""
        self._readings: dict[str, _Reading] = {}
        """How far each was read, which is further than what is stored yet."""

    async def run(self) -> None:
        """Look for containers, until cancelled, whatever is away meanwhile."""
        swept = 0.0
        try:
            while True:
                try:
                    await self.look()
                    if monotonic() - swept >= SWEEP:
                        await container_logs.sweep()
                        swept = monotonic()
                except (EngineUnavailable, *AWAY) as error:
                    log.debug("logs.away", error=type(error).__name__)
                except Exception:
                    log.exception("logs.unexpected")
                await asyncio.sleep(LOOK)
        finally:
            await self.close()

    async def look(self) -> None:
        """Follow the containers that are not followed, and forget those that are gone. Raises `EngineUnavailable`, or as Postgres does."""
        present = {each.container: each for label in LABELS for each in sources(await self._engine.containers(label))}
        gone = [id for id, task in self._tasks.items() if id not in present and task.done()]
        for id in gone.copy():
            if (reading := self._readings.get(id)) is not None and reading.has_rest:
                self._tasks[id] = asyncio.create_task(self._end(reading))
                gone.remove(id)
        if gone:
            await container_logs.forget(gone)
        for id in gone:
            del self._tasks[id]
            self._readings.pop(id, None)
        for id, source in present.items():
            # Of a container that ends the Engine may keep a last line without an end back, and tell it only to who asks thereafter.
            if id not in self._tasks or (self._tasks[id].done() and (source.running or self._readings[id].source.running)):
                self._tasks[id] = asyncio.create_task(self._follow(source))

    async def close(self) -> None:
        """Follow no container any more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow(self, source: Source) -> None:
        """Read a container to its end; when the Engine or the database goes away meanwhile it is begun again where it was."""
        while True:
            try:
                if source.container not in self._readings:
                    read_to = Position.of(await container_logs.read_to(source.container) or "")
                    self._readings[source.container] = _Reading(source, read_to)
                reading = self._readings[source.container]
                reading.source = source
                await self._read(reading)
                if not source.running:
                    await self._end(reading)
                return
            except (EngineUnavailable, *AWAY):
                await asyncio.sleep(LOOK)
            except Exception:
                log.exception("logs.unexpected", container=source.container)
                await asyncio.sleep(LOOK)

    async def _read(self, reading: _Reading) -> None:
        frames = Frames(reading.read_to)
        async with aclosing(self._engine.follow_log(reading.source.container, reading.read_to.since)) as pieces:
            async for piece in pieces:
                reading.unended = []
                await self._put(reading, frames.feed(piece))
        reading.unended += frames.flush()

    async def _end(self, reading: _Reading) -> None:
        """Hand on what is left of a container that has ended."""
        unended, reading.unended = reading.unended, []
        await self._put(reading, unended)
        if reading.lost:
            last = Printed(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z", LogLevel.warning, reading.source.replica, LOST)
            lost, reading.lost = reading.lost, 0
            await self._store(reading, [last], reading.read_to, lost)

    async def _put(self, reading: _Reading, lines: list[Read]) -> None:
        """Hand lines on, as many as are allowed; what is lost is told with the next one that is not."""
        printed, before, read_to = list[Printed](), 0, reading.read_to
        for each in lines:
            reading.read_to = each.to
            if not reading.allowance.within(each):
                await self._store(reading, printed, read_to, before)
                printed = []
                reading.lost += 1
                continue
            if not printed:
                before, reading.lost = reading.lost, 0
            printed.append(Printed(each.at, level_of(each.text), reading.source.replica, each.text))
            read_to = each.to
        await self._store(reading, printed, read_to, before)

    async def _store(self, reading: _Reading, printed: list[Printed], read_to: Position, before: int) -> None:
        if printed:
            await self._writer.put(reading.source.subject, reading.source.container, printed, str(read_to), before)
