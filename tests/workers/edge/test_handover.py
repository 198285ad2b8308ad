"""What becomes of those who hold connections to Caddy when its configuration changes, as it does when anybody's port comes or goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.demo.load import Tally, loaded
from gateway.embedded.up import free_port
from tests.workers.edge.test_serving import APP, HOST, Place
from workers.edge import caddy_config
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration
from workers.edge.handover import handing_over

pytestmark = pytest.mark.services
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
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
    """Each change loses one only when it is on its way at the very moment: the control is repeated until that has happened."""
    for _ in range(5):
        tally = await while_it_changes(place, at_once)
        tell(f"control, the same without a handover: {tally}")
        if tally.failures:
            return
    pytest.fail("without the handover nothing was lost, so the test above shows nothing")


@pytest.fixture
async def streams(place: Place) -> AsyncIterator[None]:
    """A container that streams without an end."""
    async with await asyncio.start_server(_streaming, "127.0.0.2", place.container_port):
        place.addresses[APP] = ("127.0.0.2",)
        yield


async def opened(place: Place, upgrade: str = "") -> tuple[list[str], asyncio.StreamReader, asyncio.StreamWriter]:
    """The head of an answer, and its stream."""
    reader, writer = await asyncio.open_connection(HOST, place.port)
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{upgrade}\r\n".encode())
    return (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n"), reader, writer


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("upgrade", [UPGRADE, ""], ids=["websocket", "events"])
async def test_a_stream_goes_on_when_another_application_gets_a_port(place: Place, upgrade: str) -> None:
    head, reader, writer = await opened(place, upgrade)
    assert head[0].startswith("http/1.1 101" if upgrade else "http/1.1 200")
    await place.caddy.load(changed(place))
    assert await goes_on(reader, 1)
    writer.close()


@pytest.mark.usefixtures("streams")
async def test_a_websocket_ends_with_its_configuration_unless_it_is_told_to_go_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: this is what Caddy does by itself."""
    monkeypatch.setattr(caddy_config, "STREAMS", "100ms")
    await place.caddy.load(configuration(place.node, Routes((place.route(),))))
    _, reader, writer = await opened(place, UPGRADE)
    await place.caddy.load(changed(place))
    assert not await goes_on(reader, 1)
    writer.close()


@pytest.mark.usefixtures("streams")
async def test_websockets_are_opened_also_while_the_configuration_changes(place: Place) -> None:
    loading = asyncio.create_task(place.caddy.load(changed(place)))
    heads = []
    while not loading.done():
        head, _, writer = await opened(place, UPGRADE)
        heads.append(head)
        writer.close()
        await asyncio.sleep(0.005)
    assert len(heads) > 5
    assert all("connection: upgrade" in head and "connection: close" not in head for head in heads)


async def goes_on(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Whether a stream lasts for so long."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while loop.time() < ends:
        if not await asyncio.wait_for(reader.read(1 << 16), 2):
            return False
    return True


async def _streaming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    writer.write(upgraded if b"pgrade: websocket" in head else b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    try:
        while not reader.at_eof():
            writer.write(b"data: x\n\n")
            await writer.drain()
            await asyncio.sleep(0.05)
    except (ConnectionError, asyncio.CancelledError):
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


def test_what_has_no_such_field_is_not_told_to_close() -> None:
    """HTTP/3: a message with a `Connection` is malformed (RFC 9114, section 4.2)."""
    servers = configuration(Node("127.0.0.1:53"), Routes((PortRoute(APP, 30_000, 80),)))["apps"]["http"]["servers"]
    (match,) = servers[f"app_{APP}_30000"]["routes"][0]["match"]
    assert match["not"] == [{"protocol": "http/3"}]


def test_the_configuration_given_is_left_as_it_is() -> None:
    given = {"apps": {"http": {"servers": {"one": {"listen": [":1"], "routes": []}}}}}
    handing_over(given)
    assert given == {"apps": {"http": {"servers": {"one": {"listen": [":1"], "routes": []}}}}}
