"""People who use an application all the while: raw keep-alive connections, half of them sending, who try nothing twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

BODY = b"x" * 1000
PATIENCE = 10.0
"""Seconds for an answer."""


@dataclass
class Tally:
    """What became of the requests."""

    answers: Counter[str] = field(default_factory=Counter)
    """By the body of each."""
    failures: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def requests(self) -> int:
        return self.answers.total() + self.failures.total()

    def __str__(self) -> str:
        failed = f" ({dict(self.failures)})" if self.failures else ""
        return f"{self.requests} requests, {self.failures.total()} failed{failed}, slowest {self.slowest:.2f} s"


async def exchanged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, *, post: bool) -> tuple[int, str, bool]:
    """Status and body of an answer, and whether the connection stays open."""
    line = b"%s %s HTTP/1.1\r\n" % (b"POST" if post else b"GET", path.encode())
    length = b"Content-Length: %d\r\n" % len(BODY) if post else b""
    writer.write(line + b"Host: 127.0.0.1\r\n" + length + b"\r\n" + (BODY if post else b""))
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    first, *fields = head.decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split()[1]), body.decode(), headers.get("connection", "").lower() != "close"


async def _user(port: int, path: str, tally: Tally, over: asyncio.Event, *, post: bool) -> None:
    loop = asyncio.get_running_loop()
    while not over.is_set():
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stays = True
            while stays and not over.is_set():
                began = loop.time()
                async with asyncio.timeout(PATIENCE):
                    status, body, stays = await exchanged(reader, writer, path, post=post)
                tally.slowest = max(tally.slowest, loop.time() - began)
                if status == 200:
                    tally.answers[body.strip()] += 1
                else:
                    tally.failures[str(status)] += 1
                await asyncio.sleep(0.002)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            tally.failures[type(error).__name__] += 1
            await asyncio.sleep(0.01)
        finally:
            if writer is not None:
                writer.close()


@asynccontextmanager
async def loaded(port: int, users: int = 24, path: str = "/") -> AsyncIterator[Tally]:
    """So many people for as long as the block lasts."""
    tally, over = Tally(), asyncio.Event()
    tasks = [asyncio.create_task(_user(port, path, tally, over, post=number % 2 == 0)) for number in range(users)]
    try:
        yield tally
    finally:
        over.set()
        await asyncio.gather(*tasks)
