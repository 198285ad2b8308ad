"""Caddy with the configuration and the name server of the edge, in front of servers that come and go as containers do."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.demo.load import Tally, loaded
from workers.edge.caddy import Caddy, ConfigurationRefused, EdgeAway
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration

HOST = "127.0.0.1"
CADDY = Path(sys.executable).parent / "caddy"
APP = "0199a2b4-0000-7000-8000-000000000001"
NOTICE = 3.1
"""Seconds between the end of an address and the signal to its container, as Swarm has them on overlay networks."""

pytestmark = pytest.mark.services


@dataclass
class Container:
    """A server on an address of its own that says which version it is."""

    address: str
    version: str
    port: int
    connections: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        body = self.version.encode()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                await reader.readexactly(int(length or 0))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def stop(self) -> None:
        """End at once, with everything that is open."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for writer in list(self._open):
            writer.transport.abort()


@dataclass
class Place:
    """An edge, and the addresses that its name server tells."""

    port: int
    container_port: int
    caddy: Caddy
    node: Node
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def route(self, published: int | None = None) -> PortRoute:
        return PortRoute(APP, published or self.port, self.container_port)

    async def container(self, address: str, version: str) -> Container:
        found = Container(address, version, self.container_port)
        await found.start()
        return found


@asynccontextmanager
async def caddy_running(folder: Path) -> AsyncIterator[Caddy]:
    """A Caddy of its own, without a configuration."""
    socket = folder / "caddy.sock"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CADDY_ADMIN": f"unix/{socket}|0600"}
    process = await asyncio.create_subprocess_exec(
        CADDY, "run", env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with Caddy(str(socket)) as caddy:
            async with asyncio.timeout(20):
                while not await answers(caddy):
                    await asyncio.sleep(0.05)
            yield caddy
    finally:
        process.kill()  # nobody is served any more
        await process.wait()


async def answers(caddy: Caddy) -> bool:
    try:
        await caddy.loaded()
    except EdgeAway:
        return False
    return True


async def cut_over(place: Place, notice: float) -> Tally:
    """A new version starts, is healthy, and the old one ends so many seconds after its address has."""
    old = await place.container("127.0.0.2", "one")
    place.addresses[APP] = (old.address,)
    async with loaded(place.port, 8) as tally:
        await asyncio.sleep(1)
        new = await place.container("127.0.0.3", "two")
        place.addresses[APP] = (old.address, new.address)
        await asyncio.sleep(1)
        place.addresses[APP] = (new.address,)
        await asyncio.sleep(notice)
        await old.stop()
        await asyncio.sleep(1)
    await new.stop()
    return tally


async def test_no_request_fails_while_a_version_takes_the_place_of_another(place: Place) -> None:
    tally = await cut_over(place, NOTICE)
    assert not tally.failures, str(tally)
    assert set(tally.answers) == {"one", "two"}
    assert tally.requests > 500


async def test_a_container_that_ends_before_its_address_does_is_noticed(place: Place) -> None:
    """The control of the test above: this load finds what fails."""
    old = await place.container("127.0.0.2", "one")
    place.addresses[APP] = (old.address,)
    async with loaded(place.port, 8) as tally:
        await asyncio.sleep(0.5)
        await old.stop()
        place.addresses[APP] = ()
        await asyncio.sleep(0.5)
    assert tally.failures


async def test_requests_wait_for_the_first_container(place: Place) -> None:
    async with loaded(place.port, 2) as tally:
        await asyncio.sleep(1)
        container = await place.container("127.0.0.2", "one")
        place.addresses[APP] = (container.address,)
        await asyncio.sleep(1.5)
    await container.stop()
    assert not tally.failures, str(tally)
    assert set(tally.answers) == {"one"}


async def test_nobody_is_sent_to_an_address_that_was_known_before(place: Place) -> None:
    """It may be another application's by now."""
    container = await place.container("127.0.0.2", "one")
    place.addresses[APP] = (container.address,)
    async with loaded(place.port, 2) as tally:
        await asyncio.sleep(0.5)
    assert set(tally.answers) == {"one"}
    place.addresses[APP] = ()
    await asyncio.sleep(1)
    async with loaded(place.port, 2) as after:
        await asyncio.sleep(1)
    assert not after.answers
    assert set(after.failures) == {"503"}
    await container.stop()


async def test_a_port_that_another_program_has_is_refused_and_the_others_are_served_on(place: Place) -> None:
    container = await place.container("127.0.0.2", "one")
    place.addresses[APP] = (container.address,)
    taken = await asyncio.start_server(lambda reader, writer: None, "", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(ConfigurationRefused, match=str(port)):
        await place.caddy.load(configuration(place.node, Routes((place.route(), place.route(port)))))
    async with loaded(place.port, 2) as tally:
        await asyncio.sleep(0.5)
    assert tally.answers["one"] > 10
    assert not tally.failures
    taken.close()
    await container.stop()


async def test_a_caddy_that_is_not_there_is_away(short_tmp: Path) -> None:
    async with Caddy(str(short_tmp / "nowhere.sock")) as caddy:
        for ask in (caddy.loaded, caddy.metrics):
            with pytest.raises(EdgeAway):
                await ask()
