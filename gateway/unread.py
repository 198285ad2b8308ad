"""Clients who do not read what they are sent: looked for among all of them at once, since hardly anything that is sent has to wait."""

import asyncio
from types import TracebackType
from typing import Final, Self

UNREAD = 30.0
"""Seconds without anything going out after which a client that something waits for is given up."""
LOOKS: Final = 10
"""How often it is looked meanwhile."""


class Unread(Exception):
    """The client does not read what it is sent."""


class Receiver:
    """A client who is sent something: `with` it is entered around each send, `async with` by the task that ends with the client.

    That raises `Unread`, wherever the block waits, once the client is given up.
    """

    def __init__(self) -> None:
        self._limit = asyncio.timeout(None)
        self._begun = self._ended = self._seen = 0
        """How much was sent, has gone out, and had when it was last looked."""
        self._since = 0.0
        """When something had last gone out, or nothing waited."""

    async def __aenter__(self) -> Self:
        """Look after this client."""
        self._since = asyncio.get_running_loop().time()
        await self._limit.__aenter__()
        _receivers.add(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Look after them no longer. Raises `Unread`."""
        _receivers.discard(self)
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise Unread from error

    def __enter__(self) -> None:
        """Something is sent."""
        self._begun += 1

    def __exit__(self, *_: object) -> None:
        """It has gone out, or will not."""
        self._ended += 1

    def look(self, now: float) -> None:
        """Give the client up if it is time to."""
        if self._ended == self._begun or self._ended != self._seen:
            self._seen, self._since = self._ended, now
        elif now - self._since >= UNREAD and not self._limit.expired():
            self._limit.reschedule(now)


class _Receivers:
    """Those of this process."""

    def __init__(self) -> None:
        self._all: set[Receiver] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, receiver: Receiver) -> None:
        """Look after one more."""
        self._all.add(receiver)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def discard(self, receiver: Receiver) -> None:
        """Look after one less."""
        self._all.discard(receiver)
        if not self._all and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(UNREAD / LOOKS)
            for each in self._all:
                each.look(loop.time())


_receivers = _Receivers()
