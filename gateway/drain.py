"""The last seconds of a gateway: each answer closes its connection, then streams end, so that every client goes on elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class StreamEnded(Exception):
    """The gateway stops, and with it what has no end of its own."""


class Drain:
    """Whether this process stops, and its streams: sockets, and answers without an end of their own."""

    def __init__(self) -> None:
        self.begun = False
        """Whether an answer that is given now is the last one on its connection."""
        self._streams: set[asyncio.Timeout] = set()
        self._ended = False

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def begin(self) -> None:
        """Let each connection have one more answer; streams go on."""
        self.begun = True

    def end_streams(self) -> None:
        """End the streams that are open, and at once those that are opened yet."""
        self._ended = True
        for limit in self._streams:
            limit.reschedule(0)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """A stream for as long as the block lasts, by the task that entered it. Raises `StreamEnded` wherever the block waits."""
        try:
            async with asyncio.timeout(0 if self._ended else None) as limit:
                self._streams.add(limit)
                try:
                    yield
                finally:
                    self._streams.discard(limit)
        except TimeoutError as error:
            if limit.expired():
                raise StreamEnded from error
            raise


drain = Drain()
