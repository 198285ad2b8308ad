"""Limits to a wait for somebody else that are not used up by this process being busy, or standing still, itself."""

import asyncio
import math
from types import TracebackType

TICK = 0.1
"""Seconds. A loop that does nothing else for longer loses one of them, whatever it took, and looks at its sockets before the next."""


class Patience:
    """An `asyncio.timeout` of so many seconds in which an answer could have been heard; without any, there is no limit.

    Leaving raises `TimeoutError` once they are over.
    """

    __slots__ = ("_limit", "_loop", "_seconds", "_timer")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        """Begin."""
        await self._limit.__aenter__()
        if self._seconds is not None:
            self._tick(math.ceil(self._seconds / TICK))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _tick(self, left: int) -> None:
        if left > 0:
            self._timer = self._loop.call_later(TICK, self._tick, left - 1)
        else:
            self._limit.reschedule(self._loop.time())
