"""People who use an application all the while: raw keep-alive connections that try nothing twice, so that whatever is lost shows."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

BODY: Final = b"x" * 1000
PATIENCE: Final = 10.0
"""Seconds for an answer."""
PAUSE: Final = 0.002
"""Seconds between two requests of one person."""


@dataclass
class Tally:
    """What became of the requests."""

    answers: Counter[str] = field(default_factory=Counter)
    """By the body of each."""
    failures: Counter[str] = field(default_factory=Counter)
    """By the status, or by what became of the connection."""
    slowest: float = 0.0
    """Seconds."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.answers.total() + self.failures.total()

    def __str__(self) -> str:
        """A line of figures."""
        failed = f" ({dict(self.failures)})" if self.failures else ""
        return f"{self.requests} requests, {self.failures.total()} failed{failed}, slowest {self.slowest:.2f} s"


@dataclass(frozen=True)
class _Asked:
    """What everybody asks for."""

    host: str
    port: int
    path: str


async def _exchanged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked, *, post: bool) -> tuple[int, str, bool]:
    """Status and body of an answer, and whether the connection stays open."""
    line = f"{'POST' if post else 'GET'} {asked.path} HTTP/1.1\r\nHost: {asked.host}:{asked.port}\r\n"
    length = f"Content-Length: {len(BODY)}\r\n" if post else ""
    writer.write(f"{line}{length}\r\n".encode() + (BODY if post else b""))
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    first, *fields = head.decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split()[1]), body.decode(), headers.get("connection", "").lower() != "close"


async def _person(asked: _Asked, tally: Tally, over: asyncio.Event, *, post: bool) -> None:
    loop = asyncio.get_running_loop()
    while not over.is_set():
        writer = None
        try:
            reader, writer = await asyncio.open_connection(asked.host, asked.port)
            stays = True
            while stays and not over.is_set():
                began = loop.time()
                async with asyncio.timeout(PATIENCE):
                    status, body, stays = await _exchanged(reader, writer, asked, post=post)
                tally.slowest = max(tally.slowest, loop.time() - began)
                if status == 200:
                    tally.answers[body.strip()] += 1
                else:
                    tally.failures[str(status)] += 1
                await asyncio.sleep(PAUSE)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            tally.failures[type(error).__name__] += 1
            await asyncio.sleep(PAUSE)
        finally:
            if writer is not None:
                writer.close()


@asynccontextmanager
async def loaded(port: int, people: int = 24, *, path: str = "/", host: str = "127.0.0.1", posting: bool = True) -> AsyncIterator[Tally]:
    """So many people for as long as the block lasts, half of them sending something when `posting`."""
    asked, tally, over = _Asked(host, port, path), Tally(), asyncio.Event()
    tasks = [asyncio.create_task(_person(asked, tally, over, post=posting and number % 2 == 0)) for number in range(people)]
    try:
        yield tally
    finally:
        over.set()
        await asyncio.gather(*tasks)
