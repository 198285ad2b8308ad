"""Connections that stay open: when they are made again, when they are closed, and how long anybody waits."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from uuid import UUID, uuid4

import pytest

from models import DatabaseType
from workers.databases import ENGINES, REDIS
from workers.databases.contract import Ask, Credentials, Statistics
from workers.monitor import connections as module
from workers.monitor.connections import Connections, Target

TARGET = Target("c1", DatabaseType.redis, "10.0.0.1", 6379, Credentials("default", "one", "", ""))
ANSWER = Statistics(1, 2, 0.5, 4)


@dataclass
class Server:
    """Whoever is connected to, and what has been done with it."""

    made: list[tuple[str, int, str]] = field(default_factory=list)
    closed: int = 0
    connecting: float = 0.0
    answering: float = 0.0
    closing: float = 0.0
    error: Exception | None = None

    @asynccontextmanager
    async def connect(self, host: str, port: int, credentials: Credentials, seconds: float) -> AsyncIterator[Ask]:
        await asyncio.sleep(self.connecting)
        self.made.append((host, port, credentials.password))

        async def ask() -> Statistics:
            await asyncio.sleep(self.answering)
            if self.error:
                raise self.error
            return ANSWER

        try:
            yield ask
        finally:
            await asyncio.sleep(self.closing)
            self.closed += 1


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def connections(server: Server) -> AsyncIterator[Connections]:
    made = Connections({DatabaseType.redis: replace(REDIS, connect=server.connect)})
    yield made
    await made.close()


@pytest.fixture
def database() -> UUID:
    return uuid4()


async def test_a_connection_stays_open(server: Server, connections: Connections, database: UUID) -> None:
    for _ in range(3):
        assert await connections.ask(database, TARGET, 1) == ANSWER
    assert server.made == [("10.0.0.1", 6379, "one")]
    assert (server.closed, connections.databases) == (0, {database})


@pytest.mark.parametrize(
    "other",
    [
        replace(TARGET, container="c2"),
        replace(TARGET, host="10.0.0.2"),
        replace(TARGET, credentials=replace(TARGET.credentials, password="two")),
        replace(TARGET, credentials=replace(TARGET.credentials, admin_password="two")),
    ],
)
async def test_it_is_made_again_for_anything_else(server: Server, connections: Connections, database: UUID, other: Target) -> None:
    await connections.ask(database, TARGET, 1)
    await connections.ask(database, other, 1)
    await connections.ask(database, other, 1)
    assert server.made[1:] == [(other.host, 6379, other.credentials.password)]
    await connections.close()
    assert server.closed == 2


async def test_one_that_breaks_is_closed_and_made_again(server: Server, connections: Connections, database: UUID) -> None:
    await connections.ask(database, TARGET, 1)
    server.error = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        await connections.ask(database, TARGET, 1)
    assert not connections.databases
    server.error = None
    assert await connections.ask(database, TARGET, 1) == ANSWER
    assert (len(server.made), server.closed) == (2, 1)


@pytest.mark.parametrize("way", ["connecting", "answering"])
async def test_nobody_waits_longer_than_they_said(server: Server, connections: Connections, database: UUID, way: str) -> None:
    setattr(server, way, 60.0)
    server.closing = 0.6
    began = monotonic()
    with pytest.raises(TimeoutError):
        await connections.ask(database, TARGET, 0.1)
    assert monotonic() - began < 0.5
    assert not connections.databases


async def test_a_server_that_takes_no_leave_is_left(
    server: Server, connections: Connections, database: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.1)
    server.closing = 60.0
    await connections.ask(database, TARGET, 1)
    began = monotonic()
    await connections.close()
    assert 0.05 < monotonic() - began < 1


async def test_those_of_databases_that_are_gone_are_closed(server: Server, connections: Connections) -> None:
    first, second = uuid4(), uuid4()
    for each in (first, second):
        await connections.ask(each, TARGET, 1)
    connections.keep([second, uuid4()])
    assert connections.databases == {second}
    await asyncio.sleep(0.01)
    assert server.closed == 1


async def hole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hear everything and say nothing."""
    await reader.read()
    writer.close()


async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something that no engine says."""
    writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 100)
    writer.close()


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.type.value)
@pytest.mark.parametrize("behaviour", [hole, stranger])
async def test_what_does_not_speak_as_an_engine_does_is_given_up(
    engine: module.Engine, behaviour: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]
) -> None:
    connections = Connections()
    async with await asyncio.start_server(behaviour, "127.0.0.1", 0) as listening:  # type: ignore[arg-type]
        port = listening.sockets[0].getsockname()[1]
        target = Target("c1", engine.type, "127.0.0.1", port, Credentials("app", "pw", "pw", "shop"))
        began = monotonic()
        with pytest.raises(Exception):  # noqa: B017 (each library has its own)
            await connections.ask(uuid4(), target, 0.3)
        assert monotonic() - began < 2
        assert not connections.databases
        await connections.close()
    await asyncio.sleep(0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a socket on which pymongo's own monitor was interrupted is left to this
        gc.collect()


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.type.value)
async def test_where_nobody_listens(engine: module.Engine) -> None:
    connections = Connections()
    with pytest.raises(Exception):  # noqa: B017
        await connections.ask(uuid4(), Target("c1", engine.type, "127.0.0.1", 1, Credentials("app", "pw", "pw", "shop")), 0.3)
    await connections.close()
