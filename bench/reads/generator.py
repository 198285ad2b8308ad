"""The load: a process that keeps some connections busy, each sending its next request when the last one was answered.

It reads a `Load` from standard input and prints a `Sample`, both as JSON.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from itertools import cycle
from time import perf_counter
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]
import uvloop


class Load(msgspec.Struct):
    """What to send, as the bytes of whole requests in turn, and to which process on which port."""

    port: int
    pid: int
    requests: list[bytes]
    connections: int
    warmup: float
    seconds: float


class Sample(msgspec.Struct):
    """What came of it. The CPU is user and system time of the server, for one request."""

    requests_per_second: float
    cpu_microseconds: float
    p50: float
    """Milliseconds, as p99."""
    p99: float
    load: float
    """The machine's load at the end."""


class Closed(Exception):
    """The server hung up, or answered something else than 200."""


class Connection(asyncio.Protocol):
    """One connection in a closed loop; answers are told apart by their Content-Length."""

    def __init__(self, requests: Iterator[bytes], times: list[float], failed: asyncio.Future[None]) -> None:
        self._requests = requests
        self._times = times
        self._failed = failed
        self._received = b""
        self._missing = 0
        """Bytes of the answer that have not come yet; 0 while its head is awaited."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Read on; after the last byte, send the next request."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = end + 4 + self._length(self._received[:end]) - len(self._received)
            self._received = b""
        if self._missing == 0:
            self._times.append(perf_counter() - self._sent)
            self._send()

    def _length(self, head: bytes) -> int:
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        if not head.startswith(b"HTTP/1.1 200 ") or at < 0:
            self._fail(head.decode(errors="replace"))
            return -1
        return int(lower[at + 17 :].partition(b"\r\n")[0])

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody hangs up while the load lasts."""
        self._fail(f"hung up: {error}")

    def _fail(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(Closed(why))


async def put(load: Load) -> Sample:
    """Warm up, then measure. Raises `Closed`."""
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    requests, times = cycle(load.requests), list[float]()
    for _ in range(load.connections):
        await loop.create_connection(lambda: Connection(requests, times, failed), "127.0.0.1", load.port)
    server = psutil.Process(load.pid)
    await _unless(failed, load.warmup)
    times.clear()
    before, began = _cpu(server), perf_counter()
    await _unless(failed, load.seconds)
    cpu, took, found = _cpu(server) - before, perf_counter() - began, sorted(times)
    failed.cancel()
    if not found:
        raise Closed("no answer within the time")
    p50, p99 = (1000 * found[len(found) * percent // 100] for percent in (50, 99))
    return Sample(len(found) / took, 1e6 * cpu / len(found), p50, p99, os.getloadavg()[0])


async def _unless(failed: asyncio.Future[None], seconds: float) -> None:
    await asyncio.wait([failed], timeout=seconds)
    if failed.done():
        failed.result()


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    """Carry out the load on standard input."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    try:
        sample = uvloop.run(put(load))
    except (Closed, OSError) as error:
        print(error)
        return 1
    sys.stdout.write(msgspec.json.encode(sample).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
