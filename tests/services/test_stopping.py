"""A gateway that is told to stop answers whatever was asked of it, says to each client that it goes, and ends in time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.embedded.stack import Stack
from gateway.serve import GRACE
from models.database import own_connection
from tests.services import gateways
from tests.services.conftest import Api
from tests.services.gateways import Gateway, browser
from tests.services.test_websocket import EVENTS, Socket, beginning, opened, started

pytestmark = pytest.mark.faults

SLOW = 1.0
"""Seconds that a slow request takes longer."""


@pytest.fixture
async def process(stack: Stack) -> AsyncIterator[Gateway]:
    async with gateways.gateways(stack, 1) as (one,):
        yield one


def asked(process: Gateway, token: str, method: str = "GET", path: str = "/users/me", more: str = "") -> bytes:
    head = f"{method} /api{path} HTTP/1.1\r\nHost: {process.url}\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    return head.encode()


class Connection:
    """A connection that is kept, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 15)).decode()
        status, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers

    async def ended(self) -> bool:
        """Whether it was closed."""
        return await asyncio.wait_for(self.reader.read(1), 15) == b""


@asynccontextmanager
async def kept(process: Gateway) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(gateways.HOST, process.port)
    yield Connection(reader, writer)
    writer.close()


@asynccontextmanager
async def slow_projects() -> AsyncIterator[None]:
    """Whoever asks for projects inside of the block waits for its end."""
    async with own_connection() as holder, holder.transaction():
        await holder.execute("lock table project in access exclusive mode")
        yield


async def waits_for_projects() -> None:
    """Wait until a statement waits for the end of `slow_projects`."""
    async with own_connection() as other, asyncio.timeout(10):
        while not await other.fetch("select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"):
            await asyncio.sleep(0.01)


async def refused(process: Gateway) -> None:
    """Wait until nobody is let in any more; who waits for a port that is just being closed is reset."""
    async with asyncio.timeout(5):
        while True:
            with suppress(ConnectionResetError):
                try:
                    async with kept(process):
                        await asyncio.sleep(0.01)
                except ConnectionRefusedError:
                    return


async def test_what_is_under_way_is_answered_and_the_gateway_ends_well(api: Api, process: Gateway) -> None:
    async with kept(process) as connection:
        async with slow_projects():
            connection.writer.write(asked(process, api.owner.token, path="/projects"))
            await waits_for_projects()
            ending = asyncio.create_task(process.end(signal.SIGTERM))
            await refused(process)
            await asyncio.sleep(SLOW)
            assert not ending.done()
        status, headers = await connection.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await connection.ended()
    assert await ending == 0


async def test_an_idle_connection_may_ask_once_more(api: Api, process: Gateway) -> None:
    async with kept(process) as connection:
        connection.writer.write(asked(process, api.owner.token))
        status, headers = await connection.answer()
        assert (status, "connection" in headers) == (200, False), "as long as nothing stops, it is kept"
        ending = asyncio.create_task(process.end(signal.SIGTERM))
        await refused(process)
        connection.writer.write(asked(process, api.owner.token))
        status, headers = await connection.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await connection.ended()
    assert await ending == 0


async def test_connections_that_ask_nothing_do_not_hold_the_gateway_up(process: Gateway) -> None:
    async with kept(process) as silent, kept(process) as halfway:
        halfway.writer.write(b"GET /api/health HT")
        began = time.monotonic()
        assert await process.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < GRACE
        assert await silent.ended()
        assert await halfway.ended()


async def test_a_request_that_never_comes_to_an_end_is_503_after_the_grace(api: Api, process: Gateway) -> None:
    async with kept(process) as connection:
        more = "Content-Type: application/json\r\nContent-Length: 100\r\n"
        connection.writer.write(asked(process, api.owner.token, "POST", "/projects", more) + b"{")
        await asyncio.sleep(0.2)
        began = time.monotonic()
        ending = asyncio.create_task(process.end(signal.SIGTERM))
        status, headers = await connection.answer()
        assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "5")
        assert time.monotonic() - began > GRACE
    assert await ending == 0, "within what Docker gives it"


async def test_a_subscription_is_closed_as_by_a_restart_and_not_called_complete(api: Api, process: Gateway) -> None:
    async with opened(f"{process.url.replace('http', 'ws')}/api/graphql", api.owner.token) as socket:
        await socket.subscribe("1", EVENTS, id=await started(api))
        await beginning(socket)
        ending = asyncio.create_task(process.end(signal.SIGTERM))
        frames, code = await until_closed(socket)
        assert (frames, code) == ([], 1012)
    assert await ending == 0


async def test_what_was_asked_for_over_a_socket_is_answered_first(api: Api, process: Gateway) -> None:
    async with opened(f"{process.url.replace('http', 'ws')}/api/graphql", api.owner.token) as socket:
        await socket.subscribe("events", EVENTS, id=await started(api))
        await beginning(socket)
        async with slow_projects():
            await socket.subscribe("made", 'mutation {createProject(input: {name: "Late"}) {name}}')
            await waits_for_projects()
            ending = asyncio.create_task(process.end(signal.SIGTERM))
            await refused(process)
            await asyncio.sleep(SLOW)
        frames, code = await until_closed(socket)
        assert [(frame["id"], frame["type"]) for frame in frames] == [("made", "next"), ("made", "complete")]
        assert frames[0]["payload"]["data"] == {"createProject": {"name": "Late"}}
        assert code == 1012
    assert await ending == 0


async def until_closed(socket: Socket) -> tuple[list[dict[str, Any]], int]:
    """The frames that still come, and the code that the socket is closed with."""
    frames: list[dict[str, Any]] = []
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            frames.append(await socket.receive())
    assert caught.value.rcvd is not None
    return frames, caught.value.rcvd.code


async def limited(lines: AsyncIterator[str], number: int) -> AsyncIterator[str]:
    """The first lines that are not empty."""
    while number:
        if line := await anext(lines):
            number -= 1
            yield line


async def test_a_stream_of_events_ends_as_a_whole_answer(api: Api, process: Gateway) -> None:
    path = f"/api/deployments/{await started(api)}/events"
    async with browser(process) as client, client.stream("GET", path, headers=api.owner.headers) as answer:
        lines = answer.aiter_lines()
        told = [line async for line in limited(lines, 4)]
        assert [line.partition(":")[0] for line in told] == ["id", "data"] * 2
        ending = asyncio.create_task(process.end(signal.SIGTERM))
        assert [line async for line in lines if line] == []
    assert await ending == 0
