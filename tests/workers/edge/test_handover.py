"""What becomes of those who hold connections to Caddy when its configuration changes, as it does when anybody's port comes or goes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.demo.load import Tally, loaded
from gateway.embedded.up import free_port
from tests.workers.edge.test_serving import APP, HOST, Place
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration
from workers.edge.handover import handing_over

pytestmark = pytest.mark.services
Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(place: Place) -> dict[str, Any]:
    """The configuration with one more port."""
    return configuration(place.node, Routes((place.route(), place.route(free_port(HOST, 0)))))


def at_once(configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration as Caddy would take it without anybody's doing."""
    del configuration["apps"]["http"]["shutdown_delay"]
    return configuration


async def while_it_changes(place: Place, how: Change) -> Tally:
    container = await place.container("127.0.0.2", "one")
    place.addresses[APP] = (container.address,)
    await place.caddy.load(how(configuration(place.node, Routes((place.route(),)))))
    async with loaded(place.port) as tally:
        await asyncio.sleep(0.5)
        await place.caddy.load(how(changed(place)))
        await asyncio.sleep(0.5)
        await place.caddy.load(how(configuration(place.node, Routes((place.route(),)))))
    await container.stop()
    return tally


async def test_no_request_fails_when_another_application_gets_a_port(place: Place, tell: Callable[[str], None]) -> None:
    tally = await while_it_changes(place, lambda each: each)
    tell(f"two changes of the configuration: {tally}")
    assert not tally.failures, str(tally)
    assert tally.requests > 500


async def test_without_the_handover_requests_fail(place: Place, tell: Callable[[str], None]) -> None:
    tally = await while_it_changes(place, at_once)
    tell(f"control, the same without a handover: {tally}")
    assert tally.failures


@pytest.mark.parametrize("websocket", [True, False], ids=["websocket", "events"])
async def test_a_stream_goes_on_when_another_application_gets_a_port(place: Place, *, websocket: bool) -> None:
    server = await asyncio.start_server(_streaming, "127.0.0.2", place.container_port)
    place.addresses[APP] = ("127.0.0.2",)
    reader, writer = await asyncio.open_connection(HOST, place.port)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n" if websocket else ""
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{upgrade}\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 101" if websocket else b"HTTP/1.1 200")
    await place.caddy.load(changed(place))
    for _ in range(10):
        assert await asyncio.wait_for(reader.read(1 << 16), 2), "the stream has ended"
        await asyncio.sleep(0.1)
    writer.close()
    server.close()


async def _streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    writer.write(upgraded if b"pgrade: websocket" in head else b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    try:
        while not reader.at_eof():
            writer.write(b"data: x\n\n")
            await writer.drain()
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass
    finally:
        writer.close()


def test_a_configuration_is_the_same_for_the_same_routes_and_shares_no_listener_with_another() -> None:
    node, one, two = Node("127.0.0.1:53"), PortRoute(APP, 30_000, 80), PortRoute(APP, 30_001, 80)
    assert configuration(node, Routes((one, two))) == configuration(node, Routes((two, one)))
    before, after = (configuration(node, Routes(ports))["apps"]["http"]["servers"] for ports in ((one,), (one, two)))
    name = f"app_{APP}_30000"
    assert before[name]["listen"][0] == after[name]["listen"][0] == ":30000"
    assert before[name]["listen"][1] != after[name]["listen"][1]


def test_the_configuration_given_is_left_as_it_is() -> None:
    given = {"apps": {"http": {"servers": {"one": {"listen": [":1"], "routes": []}}}}}
    handing_over(given)
    assert given == {"apps": {"http": {"servers": {"one": {"listen": [":1"], "routes": []}}}}}
