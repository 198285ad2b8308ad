"""Frames on their way to a client who may read slowly, or no longer."""

import asyncio
from collections import deque

MOST = 1_000_000
"""Bytes that wait for the client before whoever has more does."""


class Outbox:
    """Frames that wait. Once it is closed, whatever waits or comes is dropped."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._changed = asyncio.Condition()

    async def put(self, frame: bytes) -> None:
        """Add a frame, when there is room for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self._size < self._most)
            if not self._closed:
                self._waiting.append(frame)
                self._size += len(frame)
                self._changed.notify_all()

    async def get(self) -> bytes | None:
        """The next frame; None once it is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            if self._closed:
                return None
            frame = self._waiting.popleft()
            self._size -= len(frame)
            self._changed.notify_all()
            return frame

    async def emptied(self) -> None:
        """Wait until no frame waits any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)

    async def close(self) -> None:
        """Let nobody wait any longer."""
        async with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
