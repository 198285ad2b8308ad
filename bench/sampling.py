"""What a round of the monitor costs: fifty databases and fifty containers of applications on one host, over real servers, containers
and the embedded Postgres.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import psutil  # type: ignore[import-untyped]

import models
from bench.report import table, verdict
from gateway.demo.base_image import BASE_IMAGE, ensure_base_image
from gateway.embedded.binaries import valkey_binary
from gateway.embedded.children import Command, spawn
from gateway.embedded.probes import Tcp
from gateway.embedded.stack import Stack
from models import Database, DatabaseType
from models.database import connected, database, migrate
from models.settings import settings
from tests.faults.proxy import Proxy
from workers import docker, processes
from workers.engine import Engine
from workers.monitor.connections import Connections
from workers.monitor.sample import DATABASE, Sampler

DATABASES, CACHES, CONTAINERS = 50, 6, 10
"""Rows; servers that are Valkey, which most rows share, the others being the embedded Postgres; and containers, shared as well."""
RELATIONAL = 5
"""One row in so many is of Postgres."""
ROUNDS = 10
BOUND = 2.0
"""Seconds for a round."""
LABEL = "dokploy.bench"
PASSWORD = "bench"
STARTING = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec")
"""What Python says, to whoever listens, when a process starts another one."""


class Host:
    """The real Engine, with containers that stand for those of databases: it is asked as the monitor asks it."""

    def __init__(self, engine: Engine, containers: Sequence[str], databases: Sequence[Database], applications: Sequence[UUID]) -> None:
        self._engine, self._containers = engine, containers
        self._others = {str(id): container for id, container in zip(applications, itertools.cycle(containers or [""]), strict=False)}
        self._places = {str(row.id): (container, address_of(number)) for number, (row, container) in enumerate(self._paired(databases))}

    def _paired(self, databases: Sequence[Database]) -> list[tuple[Database, str]]:
        return list(zip(databases, itertools.cycle(self._containers or [""]), strict=False))

    async def containers(self, label: str) -> list[dict[str, Any]]:
        await self._engine.containers(LABEL)
        swarm = {"com.docker.swarm.service.id": "bench"}
        found = {id: container for id, (container, _) in self._places.items()} if label == DATABASE else self._others
        return [{"Id": f"{id}.{each}", "State": "running", "Labels": {label: id} | swarm} for id, each in found.items()]

    async def info(self) -> dict[str, Any]:
        return await self._engine.info()

    async def network(self, name: str) -> dict[str, Any] | None:
        await self._engine.network(name)
        return {"Containers": {f"{id}.{found}": {"IPv4Address": f"{address}/16"} for id, (found, address) in self._places.items()}}

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        container = container_id.rpartition(".")[2]
        return await self._engine.container_usage(container) if container else None

    async def container_limits(self, container_id: str) -> tuple[int | None, float | None] | None:
        container = container_id.rpartition(".")[2]
        return await self._engine.container_limits(container) if container else None

    async def volume_usage(self, seconds: float) -> dict[str, int]:
        return await self._engine.volume_usage(seconds)


def address_of(number: int) -> str:
    """Where the server of a row listens: a loopback address of its own, so that each has the port of its engine."""
    return f"127.78.{number // 200}.{number % 200 + 1}"


def is_relational(number: int) -> bool:
    return number % RELATIONAL == 0


@asynccontextmanager
async def servers(stack: Stack, number: int) -> AsyncIterator[None]:
    """Real servers for so many rows, each behind a number of addresses."""
    sockets = Path(unquote(parse_qs(urlsplit(stack.database_url).query)["host"][0]))
    caches = [each for each in range(number) if not is_relational(each)]
    async with AsyncExitStack() as exit_stack:
        for each in filter(is_relational, range(number)):
            await exit_stack.enter_async_context(Proxy(Tcp(address_of(each), 5432), sockets / ".s.PGSQL.5432"))
        for server in range(min(CACHES, len(caches))):
            addresses = [address_of(each) for each in caches[server::CACHES]]
            argv = [str(valkey_binary(None, stack.directory)), "--bind", *addresses, "--port", "6379", "--requirepass", PASSWORD]
            child = await spawn(Command("valkey", [*argv, "--save", ""], output=stack.directory.logs / "caches.log"))
            exit_stack.push_async_callback(child.stop)
        await asyncio.sleep(1)
        yield


@asynccontextmanager
async def containers(number: int) -> AsyncIterator[list[str]]:
    """So many containers that sleep."""
    client = await docker.choose()
    await ensure_base_image(client.path)

    async def run(*argv: str) -> list[str]:
        done = await processes.run([client.path, *argv], env=docker.environment(), deadline=60, capture=1 << 20)
        if done.returncode:
            raise SystemExit(f"docker {argv[0]} failed: {' '.join(done.tail)}")
        return done.stdout.decode().split()

    made: list[str] = []
    try:
        for _ in range(number):
            made += await run("run", "--detach", "--label", LABEL, "--network", "none", BASE_IMAGE, "sleep", "3600")
        yield made
    finally:
        for each in made:
            await run("rm", "--force", each)


async def rows(number: int) -> list[Database]:
    owner = await models.User.create(username="bench", email="bench@example.com", password_hash="", role=models.GlobalRole.owner)
    project = await models.Project.create(name="Bench", owner=owner)
    found = []
    for each in range(number):
        relational = is_relational(each)
        stored = {"username": "dokploy" if relational else "default", "password": PASSWORD, "admin_password": "", "database": "dokploy"}
        found.append(
            await Database.create(
                name=f"db{each}",
                project=project,
                type=DatabaseType.postgresql if relational else DatabaseType.redis,
                version="18" if relational else "8",
                service_name=f"bench-{each}",
                credentials=stored,
                memory_limit=64,
                storage_size=1000,
                volume=f"bench-{each}",
            )
        )
    return found


async def applications(number: int) -> list[UUID]:
    project = await models.Project.get(name="Bench")
    return [
        (await models.Application.create(name=f"app{each}", project=project, service_name=f"bench-app-{each}", env_vars=[])).id
        for each in range(number)
    ]


async def measured(sampler: Sampler, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of each round, and of processor time that the monitor took for it."""
    took, worked = [], []
    for _ in range(rounds):
        began, before = perf_counter(), process_time()
        await sampler.round()
        took.append(perf_counter() - began)
        worked.append(process_time() - before)
    return took, worked


async def main(databases: int, containing: int, rounds: int) -> int:
    """Measure, print, and say whether the bounds hold."""
    started: list[str] = []
    listening = False
    sys.addaudithook(lambda event, _: started.append(event) if listening and event in STARTING else None)
    async with AsyncExitStack() as exit_stack:
        directory = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="dk-bench-")))
        stack = await exit_stack.enter_async_context(Stack(directory))
        os.environ.update(stack.environment)
        settings.cache_clear()
        await migrate()
        await exit_stack.enter_async_context(connected(1))
        found, others = await rows(databases), await applications(databases)
        await exit_stack.enter_async_context(servers(stack, databases))
        engine = await exit_stack.enter_async_context(Engine())
        running = await exit_stack.enter_async_context(containers(containing))
        sampler = Sampler(Host(engine, running, found, others), Connections())
        exit_stack.push_async_callback(sampler.close)
        listening = True
        (first,), (first_worked,) = await measured(sampler, 1)
        before = _children()
        took, worked = await measured(sampler, rounds)
        listening = False
        new = _children() - before
        answered = await Database.filter(connections__not_isnull=True, current_memory__not_isnull=True, size__not_isnull=True).count()
        sampled = await database().execute_query_dict("select distinct subject_id from metric where cpu is not null")
        unsampled = 2 * databases - len(sampled)
        memory = psutil.Process().memory_info().rss / (1 << 20)
        without = Sampler(_Without(Host(engine, running, found, others)), Connections())
        exit_stack.push_async_callback(without.close)
        await measured(without, 1)
        alone, alone_worked = await measured(without, rounds)
    heading = ("seconds", "median", "longest", "processor")
    table(
        [
            heading,
            ("first round, connecting", f"{first:.3f}", f"{first:.3f}", f"{first_worked:.3f}"),
            (f"{rounds} rounds", f"{statistics.median(took):.3f}", f"{max(took):.3f}", f"{statistics.median(worked):.3f}"),
            ("servers alone", f"{statistics.median(alone):.3f}", f"{max(alone):.3f}", f"{statistics.median(alone_worked):.3f}"),
        ]
    )
    print(f"  {databases} databases, {answered} of them with every figure, and {databases} applications; {containing} containers;")
    print(f"  {memory:.0f} MiB with the bench itself")
    holds = [
        verdict(f"{databases} databases in a round, the longest", max(first, *took), BOUND, "s"),
        verdict("databases without an answer", databases - answered, 0 if containing else databases, "databases"),
        verdict("databases and applications without samples", unsampled, 0 if containing else 2 * databases, "of them"),
        verdict("processes started by rounds", len(started) + len(new), 0, "processes"),
    ]
    return 0 if all(holds) else 1


class _Without:
    """An Engine that says at once what containers and volumes take: what is left is the servers."""

    def __init__(self, host: Host) -> None:
        self.containers, self.network, self.info = host.containers, host.network, host.info

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        return {"memory_stats": {"usage": 1 << 20}}

    async def container_limits(self, container_id: str) -> tuple[int | None, float | None] | None:
        return None

    async def volume_usage(self, seconds: float) -> dict[str, int]:
        return {}


def _children() -> set[int]:
    """Everything that this process has started, and what that has: Postgres has a process for each connection."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", type=int, default=DATABASES)
    parser.add_argument("--containers", type=int, default=CONTAINERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.databases, given.containers, given.rounds)))
