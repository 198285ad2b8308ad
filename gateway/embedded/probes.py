"""Does it answer? The few bytes of each protocol that show it, so that the supervisor imports no client library."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 2.0
"""Seconds an answer may take."""


@dataclass(frozen=True)
class Tcp:
    """A TCP address."""

    host: str
    port: int


Address = Path | Tcp
"""Where to connect: a path is a unix socket."""

Probe = Callable[[], Awaitable[bool]]
"""Whether a server answers; never raises."""


async def within(seconds: float, answers: Probe) -> bool:
    """Ask until it answers. Whether it did within `seconds`."""
    deadline = time.monotonic() + seconds
    while not await answers():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


@contextlib.asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if isinstance(address, Tcp):
        reader, writer = await asyncio.open_connection(address.host, address.port)
    else:
        reader, writer = await asyncio.open_unix_connection(address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def http_get(address: Address, path: str) -> tuple[int, bytes]:
    """Status and body of a GET. Raises `OSError` (also `TimeoutError`) when there is no answer, `ValueError` when it is no HTTP."""
    async with asyncio.timeout(PATIENCE), _connected(address) as (reader, writer):
        # HTTP/1.0: the answer ends with the connection and is never chunked.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.") else _no_http(head), body


def _no_http(head: bytes) -> int:
    raise ValueError(f"not an HTTP answer: {head[:40]!r}")


async def http_answers(address: Address, path: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return (await http_get(address, path))[0] == 200
    except (OSError, ValueError, IndexError):
        return False


async def valkey_answers(socket: Path) -> bool:
    """Whether PING is answered."""
    try:
        async with asyncio.timeout(PATIENCE), _connected(socket) as (reader, writer):
            writer.write(b"PING\r\n")
            return await reader.readline() == b"+PONG\r\n"
    except (OSError, ValueError):
        return False


async def postgres_answers(socket: Path, user: str, database: str) -> bool:
    """Whether `user` is let into `database` without a password and a query could be sent."""
    fields = b"".join(part.encode() + b"\0" for part in ("user", user, "database", database)) + b"\0"
    try:
        async with asyncio.timeout(PATIENCE), _connected(socket) as (reader, writer):
            writer.write(struct.pack("!ii", len(fields) + 8, 3 << 16) + fields)
            while (kind := await reader.readexactly(1)) not in b"ZE":
                await reader.readexactly(struct.unpack("!i", await reader.readexactly(4))[0] - 4)
            writer.write(b"X\0\0\0\4")
            return kind == b"Z"
    except (OSError, EOFError, ValueError):
        return False
