"""The proxy by itself: what each of its troubles looks like to a client."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.embedded.probes import Address, Tcp
from tests.faults.proxy import Proxy


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionResetError):
        while data := await reader.read(1000):
            writer.write(data)
    writer.close()


@pytest.fixture(params=["unix", "tcp"])
async def proxy(request: pytest.FixtureRequest, short_tmp: Path) -> AsyncIterator[Proxy]:
    server = await asyncio.start_unix_server(echo, short_tmp / "target")
    listen: Address = short_tmp / "listen" if request.param == "unix" else Tcp("127.0.0.1", 0)
    async with Proxy(listen, short_tmp / "target") as running:
        yield running
    server.close()
    await asyncio.sleep(0.02)  # both ends hear of it


@dataclass
class Caller:
    """A client of the echo behind the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hears(self, data: bytes, within: float = 5) -> bytes:
        """What comes back of `data` and of what was sent before; empty when the connection has ended. Raises TimeoutError."""
        if data:
            self.writer.write(data)
        async with asyncio.timeout(within):
            return await self.reader.read(1000)


Call = Callable[[], Awaitable[Caller]]


@pytest.fixture
async def call(proxy: Proxy) -> AsyncIterator[Call]:
    callers: list[Caller] = []

    async def one() -> Caller:
        address = proxy.listen
        streams = (
            asyncio.open_unix_connection(address) if isinstance(address, Path) else asyncio.open_connection(address.host, address.port)
        )
        callers.append(Caller(*await streams))
        return callers[-1]

    yield one
    for caller in callers:
        caller.writer.transport.abort()
    await asyncio.sleep(0.02)  # a transport that is aborted closes with the next turn of the loop


async def test_everything_passes_in_both_directions_until_one_side_ends(proxy: Proxy, call: Call) -> None:
    caller = await call()
    assert await caller.hears(b"one") == b"one"
    assert await caller.hears(b"two") == b"two"
    caller.writer.write_eof()
    assert await caller.hears(b"") == b""
    assert proxy.accepted == 1


async def test_every_chunk_can_be_delayed(proxy: Proxy, call: Call) -> None:
    caller = await call()
    began = time.monotonic()
    await caller.hears(b"quick")
    quick, proxy.delay, began = time.monotonic() - began, 0.1, time.monotonic()
    await caller.hears(b"slow")
    assert time.monotonic() - began >= 0.2 > quick


async def test_what_is_stalled_stays_connected_and_goes_on(proxy: Proxy, call: Call) -> None:
    caller = await call()
    assert await caller.hears(b"before") == b"before"
    proxy.stall()
    with pytest.raises(TimeoutError):
        await caller.hears(b"meanwhile", within=0.2)
    late = await call()
    with pytest.raises(TimeoutError):
        await late.hears(b"late", within=0.2)
    await proxy.restore()
    assert await caller.hears(b"") == b"meanwhile"
    assert await late.hears(b"") == b"late"


async def test_what_is_cut_is_closed_and_refused_until_it_is_restored(proxy: Proxy, call: Call) -> None:
    caller = await call()
    assert await caller.hears(b"before") == b"before"
    await proxy.cut()
    assert proxy.open_connections == 0
    with contextlib.suppress(ConnectionResetError):  # an orderly end and a reset are both an end
        assert await caller.hears(b"") == b""
    with pytest.raises(OSError):
        await call()
    await proxy.restore()
    assert await (await call()).hears(b"after") == b"after"
