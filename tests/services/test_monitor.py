"""What the monitor stores of a round, and what real servers say to connections that stay open."""

import itertools
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import pytest
import redis.asyncio as redis
import structlog

import models
from gateway.embedded.binaries import valkey_binary
from gateway.embedded.children import Command, spawn
from gateway.embedded.probes import Tcp
from gateway.embedded.stack import Stack
from models import Database, DatabaseType
from tests.docker.installation import eventually
from tests.faults.proxy import Proxy
from tests.services.conftest import Api
from tests.workers.monitor.test_sample import Told
from workers.databases import ENGINES
from workers.databases.contract import MIB, Credentials, Statistics
from workers.databases.credentials import credentials_of
from workers.monitor.connections import Connections, Target
from workers.monitor.databases import Sample, store, wanted
from workers.monitor.sample import Sampler

PASSWORD = "sEcReT-user"
ANSWER = Statistics(3, 400, 0.75, 5000)
_numbers = itertools.count(1)


@pytest.fixture
async def project(api: Api) -> models.Project:
    return await models.Project.get(id=(await api.project())["id"])


async def made(project: models.Project, type: DatabaseType = DatabaseType.redis, **more: Any) -> Database:
    number = next(_numbers)
    given: dict[str, Any] = {
        "name": f"db{number}",
        "project": project,
        "type": type,
        "version": "8",
        "service_name": f"db-{number}",
        "credentials": {"username": "default", "password": PASSWORD, "admin_password": "", "database": "shop", "next_password": "other"},
        "memory_limit": 64,
        "storage_size": 1000,
        "volume": f"volume-{number}",
    }
    return await Database.create(**given | more)


async def measured(database: Database, storage: int | None, **more: Any) -> tuple[Database, list[Any]]:
    """The row after a round that found so many MiB, and what was logged."""
    with structlog.testing.capture_logs() as logs:
        await store([Sample(database.id, more.get("statistics"), more.get("memory"), None if storage is None else storage * MIB)])
    return await Database.get(id=database.id), list(logs)


async def test_a_round_is_stored(project: models.Project) -> None:
    rows = [await made(project) for _ in range(3)]
    before = rows[0].updated_at
    samples = [Sample(row.id, replace(ANSWER, connections=number), (7 + number) * MIB + 5, 20 * MIB) for number, row in enumerate(rows)]
    await store(samples)
    for number, row in enumerate(rows):
        await row.refresh_from_db()
        assert (row.size, row.connections, row.queries, row.cache_hit_rate) == (5000, number, 400, 0.75)
        assert (row.current_memory, row.current_storage, row.storage_alert) == (7 + number, 20, False)
        assert row.sampled_at is not None and datetime.now(UTC) - row.sampled_at < timedelta(minutes=1)
    assert rows[0].updated_at == before, "to be measured is no change"


async def test_nothing_is_measured(project: models.Project) -> None:
    await store([])


async def test_what_is_not_known_is_null_but_the_size_and_the_storage_stay(project: models.Project) -> None:
    row, _ = await measured(await made(project), 20, statistics=ANSWER, memory=7 * MIB)
    sampled = row.sampled_at
    row, _ = await measured(row, None)
    assert (row.size, row.connections, row.queries, row.cache_hit_rate) == (5000, None, None, None)
    assert (row.current_memory, row.current_storage) == (None, 20)
    assert row.sampled_at is not None and sampled is not None and row.sampled_at > sampled
    row, _ = await measured(row, 21, statistics=Statistics(0, 0, None, None))
    assert (row.size, row.connections, row.queries, row.cache_hit_rate, row.current_storage) == (5000, 0, 0, None, 21)


async def test_an_alert_begins_at_nine_tenths_and_ends_below_85_percent(project: models.Project) -> None:
    row = await made(project)
    seen = []
    for storage in (899, 900, 899, 850, None, 850, 849, 899, 1500, 10):
        row, logs = await measured(row, storage)
        seen.append((storage, row.storage_alert, [entry["alert"] for entry in logs]))
    assert seen == [
        (899, False, []),
        (900, True, [True]),
        (899, True, []),
        (850, True, []),
        (None, True, []),
        (850, True, []),
        (849, False, [False]),
        (899, False, []),
        (1500, True, [True]),
        (10, False, [False]),
    ]


async def test_an_alert_is_one_line_that_names_the_database(project: models.Project) -> None:
    row = await made(project)
    quiet = await made(project)
    with structlog.testing.capture_logs() as logs:
        await store([Sample(row.id, None, None, 950 * MIB), Sample(quiet.id, None, None, 5 * MIB)])
    assert logs == [
        {
            "event": "monitor.storage_alert",
            "log_level": "warning",
            "database": str(row.id),
            "project": str(project.id),
            "name": row.name,
            "alert": True,
            "storage_mib": 950,
            "storage_size_mib": 1000,
        }
    ]
    json.dumps(logs)


async def test_more_room_ends_an_alert(project: models.Project) -> None:
    row, _ = await measured(await made(project), 950)
    assert row.storage_alert
    await Database.filter(id=row.id).update(storage_size=4_000_000)
    row, logs = await measured(row, 950)
    assert (row.storage_alert, len(logs)) == (False, 1)


async def test_what_is_deleted_meanwhile_stays_as_it_was(project: models.Project) -> None:
    row = await made(project, deleted_at=datetime.now(UTC))
    row, logs = await measured(row, 950, statistics=ANSWER)
    assert (row.sampled_at, row.connections, row.storage_alert, logs) == (None, None, False, [])


async def test_who_shall_run_is_measured(project: models.Project) -> None:
    row = await made(project)
    await made(project, stopped=True)
    await made(project, deleted_at=datetime.now(UTC))
    assert [each.id for each in await wanted()] == [row.id]


async def test_credentials_come_from_the_row(project: models.Project) -> None:
    row = await Database.get(id=(await made(project)).id)
    assert credentials_of(row) == Credentials("default", PASSWORD, "", "shop")


@asynccontextmanager
async def valkey(stack: Stack, host: str, port: int, password: str = PASSWORD) -> AsyncIterator[None]:
    """A server with a password, as databases have them."""
    argv = [str(valkey_binary(None, stack.directory)), "--bind", host, "--port", str(port), "--requirepass", password, "--save", ""]
    child = await spawn(Command("valkey", argv, output=stack.directory.logs / "valkey-of-a-database.log"))

    async def listening() -> bool:
        with socket.socket() as client:
            return client.connect_ex((host, port)) == 0

    try:
        await eventually(listening, within=10, every=0.02)
        yield
    finally:
        await child.stop()


def postgres_socket(stack: Stack) -> Path:
    return Path(unquote(parse_qs(urlsplit(stack.database_url).query)["host"][0])) / ".s.PGSQL.5432"


@pytest.fixture
async def postgres(stack: Stack) -> AsyncIterator[Proxy]:
    """The embedded Postgres by TCP, where a container's would be."""
    async with Proxy(Tcp("127.77.0.1", 5432), postgres_socket(stack)) as proxy:
        yield proxy


@pytest.fixture
async def cache(stack: Stack) -> AsyncIterator[Proxy]:
    """A Valkey with a password, where a container's would be."""
    target = Tcp("127.77.0.3", 6379)
    async with valkey(stack, target.host, target.port), Proxy(Tcp("127.77.0.2", 6379), target) as proxy:
        yield proxy


POSTGRES = Target("p", DatabaseType.postgresql, "127.77.0.1", 5432, Credentials("dokploy", "", "", "dokploy"))
VALKEY = Target("v", DatabaseType.redis, "127.77.0.2", 6379, Credentials("default", PASSWORD, "", ""))


async def test_what_postgres_says_of_itself(stack: Stack, postgres: Proxy) -> None:
    engine = ENGINES[DatabaseType.postgresql]
    async with engine.connect(POSTGRES.host, POSTGRES.port, POSTGRES.credentials, 5) as ask:
        before = await ask()
        assert before.size is not None and before.size > 1_000_000
        assert before.connections is not None and before.queries is not None
        assert before.cache_hit_rate is not None and 0 < before.cache_hit_rate <= 1
        other = await asyncpg.connect(stack.database_url)
        assert (await ask()).connections == before.connections + 1
        await other.execute("select 1")
        await other.close()
        queries = before.queries

        async def counted() -> bool:
            return ((await ask()).queries or 0) > queries

        await eventually(counted, within=10)
    assert postgres.accepted <= 2, "TLS may be offered once"
    await eventually(lambda: _none_open(postgres))


async def _none_open(proxy: Proxy) -> bool:
    return not proxy.open_connections


async def test_what_valkey_says_of_itself(cache: Proxy) -> None:
    engine = ENGINES[DatabaseType.redis]
    async with engine.connect(VALKEY.host, VALKEY.port, VALKEY.credentials, 5) as ask:
        first = await ask()
        assert (first.connections, first.cache_hit_rate) == (0, None)
        assert first.size is not None and first.size > 100_000
        async with redis.Redis(host=VALKEY.host, port=VALKEY.port, password=PASSWORD) as client:
            await client.set("a", 1)
            for key in ("a", "a", "a", "b"):
                await client.get(key)
            told = await ask()
        assert (told.connections, told.cache_hit_rate) == (1, 0.75)
        assert told.queries is not None and first.queries is not None and told.queries >= first.queries + 5
    assert cache.accepted == 2
    await eventually(lambda: _none_open(cache))


@pytest.mark.parametrize("target", [POSTGRES, VALKEY], ids=["postgresql", "redis"])
async def test_a_connection_is_made_once_and_again_when_it_breaks(
    target: Target, postgres: Proxy, cache: Proxy, project: models.Project
) -> None:
    proxy = postgres if target is POSTGRES else cache
    connections = Connections()
    for _ in range(3):
        await connections.ask(project.id, target, 5)
    once = proxy.accepted
    assert proxy.open_connections == 1
    await connections.ask(project.id, target, 5)
    assert proxy.accepted == once
    await proxy.cut()
    for _ in range(2):
        with pytest.raises(Exception):  # noqa: B017 (each library has its own)
            await connections.ask(project.id, target, 5)
    await proxy.restore()
    assert (await connections.ask(project.id, target, 5)).size
    proxy.stall()
    with pytest.raises(TimeoutError):
        await connections.ask(project.id, target, 0.2)
    await proxy.restore()
    assert (await connections.ask(project.id, target, 5)).size
    await connections.ask(project.id, replace(target, container="another"), 5)
    await connections.close()
    await eventually(lambda: _none_open(proxy))


async def test_a_wrong_password_is_no_answer(cache: Proxy, project: models.Project) -> None:
    connections = Connections()
    wrong = replace(VALKEY, credentials=replace(VALKEY.credentials, password="wrong"))
    with pytest.raises(redis.AuthenticationError):
        await connections.ask(project.id, wrong, 5)
    assert (await connections.ask(project.id, VALKEY, 5)).size
    await connections.close()


async def test_whole_rounds_over_real_servers(project: models.Project, postgres: Proxy, cache: Proxy) -> None:
    stored = {"username": "dokploy", "password": "", "admin_password": "", "database": "dokploy"}
    relational = await made(project, DatabaseType.postgresql, version="18", credentials=stored)
    rows = [relational, await made(project), await made(project), await made(project)]
    lost, dead = rows[2:]
    engine = Told(rows)
    addresses = {relational: "127.77.0.1", rows[1]: "127.77.0.2", lost: "127.77.0.9"}
    engine.bridge = {"Containers": {f"c-{row.id}": {"IPv4Address": f"{address}/16"} for row, address in addresses.items()}}
    engine.found = [each for each in engine.found if each["Id"] != f"c-{dead.id}"]
    engine.volumes = {relational.volume: 990 * MIB, rows[1].volume: 3 * MIB}
    started: list[str] = []
    sys.addaudithook(lambda event, _: started.append(event) if event in ("subprocess.Popen", "os.fork", "os.posix_spawn") else None)
    sampler = Sampler(engine, Connections())
    try:
        for _ in range(3):
            assert await sampler.round() == 3
        accepted = postgres.accepted, cache.accepted
        await sampler.round()
        assert (postgres.accepted, cache.accepted) == accepted
    finally:
        await sampler.close()
    assert not started
    for row in rows:
        await row.refresh_from_db()
    assert relational.size is not None and relational.connections is not None and relational.storage_alert
    assert (rows[1].connections, rows[1].current_memory, rows[1].current_storage) == (0, 7, 3)
    assert (lost.size, lost.connections, lost.current_memory, lost.current_storage) == (None, None, 7, None)
    assert dead.sampled_at is None


async def test_the_process_goes_on_without_an_engine_until_it_is_told(stack: Stack, project: models.Project, short_tmp: Path) -> None:
    await made(project)
    log = short_tmp / "monitor.log"
    nowhere = {"DOCKER_HOST": f"unix://{short_tmp}/nothing.sock"}
    command = stack.command("monitor", [sys.executable, "-m", "gateway.cli", "monitor"], nowhere)
    child = await spawn(replace(command, output=log))

    async def away() -> bool:
        return "monitor.away" in log.read_text()

    try:
        await eventually(away)
        assert child.code is None
    finally:
        code = await child.stop()
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(event["event"], event.get("part")) for event in events] == [("monitor.ready", None), ("monitor.away", "engine")]
    assert code == 0
