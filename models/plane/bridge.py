"""Bytes on their way from the event loop to whoever takes them in a thread, a few pieces of them held at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from queue import SimpleQueue
from typing import Final, TypeVar

from models.plane.archive import Emit

AHEAD: Final = 8
"""Pieces that wait to be taken."""

Written = TypeVar("Written")
Taken = TypeVar("Taken")


class Interrupted(Exception):
    """The transfer was ended before its end."""


async def taken(write: Callable[[Emit], Awaitable[Written]], take: Callable[[Iterator[bytes]], Taken]) -> tuple[Written, Taken]:
    """What `write` returns, and what `take`, in a thread, makes of the pieces that `write` emits.

    The pieces end only after `write` has succeeded: what it raises is raised out of them, so that `take` leaves nothing half done, and
    then here. What `take` raises ends `write`.
    """
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(AHEAD)
    queue: SimpleQueue[bytes | BaseException | None] = SimpleQueue()

    async def emit(piece: bytes) -> None:
        await room.acquire()
        queue.put(piece)

    def pieces() -> Iterator[bytes]:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            loop.call_soon_threadsafe(room.release)
            yield item

    writer = asyncio.ensure_future(write(emit))
    taker = asyncio.ensure_future(asyncio.to_thread(take, pieces()))
    try:
        await asyncio.wait([writer, taker], return_when=asyncio.FIRST_COMPLETED)
        if not writer.done():
            taker.result()  # it did not wait for the end, so it has failed
        queue.put(writer.exception())
        result = await asyncio.shield(taker)
        return writer.result(), result
    finally:
        writer.cancel()
        queue.put(Interrupted())
        await asyncio.wait([writer, taker])
        for each in (writer, taker):
            if not each.cancelled():
                each.exception()
