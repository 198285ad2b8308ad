"""Keeping children running: each one that dies is started again, and all are stopped in reverse order."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateway.embedded.children import Child, Command, last_lines, spawn
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.probes import Probe

Report = Callable[[str], None]
"""Told, one line at a time, what a person at the terminal should know."""

Preparation = Callable[[], Awaitable[None]]

_POLL: Final = 0.05


class NotReady(EmbeddedError):
    """A server did not come up."""


def say(line: str) -> None:
    """The default report: a line on standard error, or nowhere when the terminal is gone."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"dokploy: {line}\n")
        sys.stderr.flush()


class Backoff:
    """Seconds to wait before the next start: doubling from the first to the longest, afresh after a long life."""

    first: Final = 0.5
    longest: Final = 10.0
    long_life: Final = 30.0

    def __init__(self) -> None:
        self._next = self.first

    def after(self, lifetime: float) -> float:
        """The wait after a child that lived for `lifetime` seconds."""
        if lifetime >= self.long_life:
            self._next = self.first
        wait, self._next = self._next, min(self._next * 2, self.longest)
        return wait


class Supervised:
    """One command kept running until `stop`."""

    def __init__(self, command: Command, report: Report, prepare: Preparation | None) -> None:
        self.command = command
        self.deaths = 0
        """How often it ended unasked."""
        self._report = report
        self._prepare = prepare
        self._stopping = asyncio.Event()
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the present child; None between two."""
        return self._child.pid if self._child and self._child.code is None else None

    async def start(self) -> None:
        """Start it the first time and keep it from then on. Raises what the preparation raises, and `OSError`."""
        started = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(started), name=f"keep {self.command.name}")
        await started

    async def ready(self, answers: Probe, *, seconds: float, lives: int = 3) -> None:
        """Wait until `answers`. Raises `NotReady` after `seconds`, or when it has died `lives` times."""
        deadline = time.monotonic() + seconds
        while not await answers():
            if self.deaths >= lives:
                raise NotReady(self._post_mortem(f"{self.command.name} ended {self.deaths} times while starting"))
            if time.monotonic() > deadline:
                raise NotReady(self._post_mortem(f"{self.command.name} did not answer within {seconds:g} s"))
            await asyncio.sleep(_POLL)

    async def stop(self) -> None:
        """Stop it for good, within its grace."""
        self._stopping.set()
        if self._keeper:
            await self._keeper

    async def _keep(self, started: asyncio.Future[None]) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            born = time.monotonic()
            try:
                outcome = await self._live(started)
            except Exception as error:
                if not started.done():
                    started.set_exception(error)
                    return
                outcome = str(error) or type(error).__name__
            if self._stopping.is_set():
                return
            self.deaths += 1
            wait = backoff.after(time.monotonic() - born)
            self._report(f"{self.command.name} {outcome}; starting it again in {wait:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _live(self, started: asyncio.Future[None]) -> str:
        """One life, from preparation to the end of the process. How it ended."""
        if self._prepare:
            await self._prepare()
        self._child = child = await spawn(self.command)
        if not started.done():
            started.set_result(None)
        ended, stopping = asyncio.create_task(child.wait()), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            await child.stop()
        code = await ended
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def _post_mortem(self, fact: str) -> str:
        log = self.command.output
        return f"{fact}; the end of {log}:\n{last_lines(log)}" if log else fact


class Stoppable(Protocol):
    """What has to be stopped in its turn."""

    async def stop(self) -> None:
        """Stop it, within a bounded time."""


class Supervisor:
    """Children in the order they were started."""

    def __init__(self, report: Report = say) -> None:
        self._report = report
        self._children: list[Stoppable] = []

    def add(self, child: Stoppable) -> None:
        """Take over something already started: `stop` stops it after what is started later."""
        self._children.append(child)

    async def start(self, command: Command, prepare: Preparation | None = None) -> Supervised:
        """Start `command` and keep it running; `prepare` runs before each start. Raises what `prepare` raises, and `OSError`."""
        supervised = Supervised(command, self._report, prepare)
        self._children.append(supervised)
        await supervised.start()
        return supervised

    async def stop(self) -> None:
        """Stop all, the last started first, each within its grace."""
        while self._children:
            await self._children.pop().stop()
