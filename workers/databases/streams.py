"""Data on their way between a command and the storage, through a pipe and never held: one side runs in a thread."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

CHUNK: Final = 1 << 20
"""Bytes that are taken at once, and that a pipe holds."""
FILLING: Final = 0.01
"""Seconds that a pipe is left to fill in which there was little: being woken for each piece of a dump costs more than handing it on."""
GZIP: Final = 31
"""zlib's window bits for gzip's format."""
LEVEL: Final = 1
"""Three in a hundred larger than the usual level, in two thirds of the time."""

Result = TypeVar("Result")


class Interrupted(Exception):
    """The transfer was ended before its end."""


@dataclass
class Meter:
    """What has passed: bytes, and their SHA-256."""

    transferred: int = 0
    _sum: Any = field(default_factory=hashlib.sha256)

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, counted."""
        for chunk in chunks:
            self._sum.update(chunk)
            self.transferred += len(chunk)
            yield chunk

    @property
    def checksum(self) -> str:
        """Of all that has passed, in hexadecimal digits."""
        return str(self._sum.hexdigest())


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks in gzip's format."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


class NotCompressed(Exception):
    """This is not gzip's format, or not all of it."""


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks out of gzip's format. Raises `NotCompressed`."""
    unpacker = zlib.decompressobj(GZIP)
    try:
        for chunk in chunks:
            pending = chunk
            while pending:
                if unpacker.eof:
                    raise NotCompressed
                if plain := unpacker.decompress(pending, CHUNK):
                    yield plain
                pending = unpacker.unconsumed_tail or (unpacker.unused_data if unpacker.eof else b"")
    except zlib.error as error:
        raise NotCompressed from error
    if not unpacker.eof:
        raise NotCompressed


async def taken(write: Callable[[int], Awaitable[None]], take: Callable[[Iterator[bytes]], Result]) -> Result:
    """What `take`, in a thread, makes of what `write` writes into a file descriptor.

    The chunks end only after `write` has succeeded; what it raises is raised out of them, so that `take` leaves nothing half done, and
    then here. What `take` raises ends `write`.
    """
    reading, writing = _pipe()
    ended: Future[None] = Future()
    writer = asyncio.ensure_future(write(writing))
    taker = asyncio.ensure_future(asyncio.to_thread(take, _chunks(reading, ended)))
    try:
        await asyncio.wait([writer, taker], return_when=asyncio.FIRST_COMPLETED)
        if taker.done():
            return taker.result()  # it did not wait for the end, so it has failed
        os.close(writing)
        writing = -1
        _settle(ended, writer)
        return await asyncio.shield(taker)
    finally:
        await _ended(writer)
        _close(writing)
        if not ended.done():
            ended.set_exception(Interrupted())
        await _quietly(taker)
        _close(reading)


async def given(give: Callable[[], Iterator[bytes]], read: Callable[[int], Awaitable[None]], *, whole: bool = False) -> None:
    """Let `read` read from a file descriptor, in frames, what `give`, in a thread, gives. What either raises is raised, the giver's first.

    A frame is the number of its bytes on a line, and the bytes; the last has none. The descriptor's end says nothing: what is cut on the
    way into a container would look whole. `whole`: what `read` takes no notice of is given nevertheless.
    """
    reading, writing = _pipe()
    reader = asyncio.ensure_future(read(reading))
    giver = asyncio.ensure_future(asyncio.to_thread(_write, give, writing, whole))
    try:
        await asyncio.wait([reader, giver], return_when=asyncio.FIRST_COMPLETED)
        if reader.done():
            _close(reading)
            reading = -1
        await asyncio.shield(giver)
        await reader
    finally:
        await _ended(reader)
        _close(reading)
        await _quietly(giver)
        _close(writing)


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, CHUNK)
    return reading, writing


def _chunks(reading: int, ended: "Future[None]") -> Iterator[bytes]:
    while chunk := os.read(reading, CHUNK):
        yield chunk
        if len(chunk) < CHUNK // 4:
            time.sleep(FILLING)
    ended.result()


def _write(give: Callable[[], Iterator[bytes]], writing: int, whole: bool) -> None:
    """Write the chunks as frames, until there are no more or nobody reads them any more."""
    chunks = give()
    try:
        for chunk in chunks:
            _put(writing, b"%d\n" % len(chunk) + chunk if chunk else b"")
        _put(writing, b"0\n")
    except BrokenPipeError:
        for _ in chunks if whole else ():
            pass


def _put(writing: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(writing, view) :]


def _settle(ended: "Future[None]", writer: "asyncio.Future[None]") -> None:
    error = writer.exception()
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


async def _ended(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await _quietly(task)


async def _quietly(task: "asyncio.Future[Any]") -> None:
    """Wait for an end, however it comes, of what nobody asks any more how it has ended."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
