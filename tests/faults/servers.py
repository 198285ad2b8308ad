"""Postgres and Valkey of an installation, each behind a proxy, with everything that can befall them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from redis.asyncio import Redis

from gateway.embedded import probes
from gateway.embedded.stack import Stack
from tests.faults.proxy import Proxy

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    OSError,
)
"""What a connection raises whose server has gone."""


@dataclass
class Servers:
    """The servers themselves, and the proxies that everybody but the test goes through."""

    stack: Stack
    postgres: Proxy
    valkey: Proxy
    _connection: asyncpg.Connection | None = field(default=None, repr=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """By which our processes find them, through the proxies."""
        assert isinstance(self.postgres.listen, Path)
        return self.stack.environment | {
            "DOKPLOY_DATABASE_URL": f"postgresql://dokploy@/dokploy?host={self.postgres.listen.parent}",
            "DOKPLOY_REDIS_URL": f"unix://{self.valkey.listen}",
        }

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Rows, past the proxy; a database that is just being restarted is waited for. Raises TimeoutError."""
        async with asyncio.timeout(60), self._turn:
            while True:
                try:
                    if self._connection is None:
                        directory = str(_socket_of_postgres(self.stack).parent)
                        self._connection = await asyncpg.connect(host=directory, user="dokploy", database="dokploy")
                    return list(await self._connection.fetch(sql, *values))
                except AWAY:
                    if self._connection is not None:
                        self._connection.terminate()
                    self._connection = None
                    await asyncio.sleep(0.05)

    async def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None without one."""
        rows = await self.fetch(sql, *values)
        return rows[0][0] if rows else None

    async def restart_postgres(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the server, by SIGKILL or by SIGINT, a fast shutdown; who supervises it starts it again."""
        pid = int((self.stack.directory.path / "postgres" / "postmaster.pid").read_text().split()[0])
        await self._ended(pid, number)

    async def restart_valkey(self) -> None:
        """Kill the server, with everything in it; who supervises it starts it again."""
        async with self.redis() as client:
            pid = int((await client.info("server"))["process_id"])
        await self._ended(pid, signal.SIGKILL)

    async def valkey_answers(self) -> None:
        """Wait until the server itself answers. Raises TimeoutError."""
        async with asyncio.timeout(20):
            while not await probes.valkey_answers(_socket_of_valkey(self.stack)):
                await asyncio.sleep(0.02)

    async def flush(self) -> None:
        """Forget everything that is in Redis, in all of its databases."""
        async with self.redis() as client:
            await client.flushall()

    def redis(self, database: int = 0) -> Redis:
        """A client of the server itself."""
        return Redis(unix_socket_path=str(_socket_of_valkey(self.stack)), db=database)

    async def restore(self) -> None:
        """End everything that the proxies do."""
        for proxy in (self.postgres, self.valkey):
            proxy.delay = 0
            await proxy.restore()

    async def close(self) -> None:
        """Close what the test itself has opened."""
        if self._connection is not None:
            await self._connection.close()

    async def _ended(self, pid: int, number: signal.Signals) -> None:
        os.kill(pid, number)
        async with asyncio.timeout(20):
            while Path(f"/proc/{pid}").exists():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def served(data: Path, sockets: Path, reports: list[str]) -> AsyncIterator[Servers]:
    """Servers of one's own in the directory `data`; what their supervisor has to say goes to `reports`."""
    (sockets / "postgres").mkdir()
    async with Stack(data, report=reports.append) as stack:
        postgres = Proxy(sockets / "postgres" / ".s.PGSQL.5432", _socket_of_postgres(stack))
        valkey = Proxy(sockets / "valkey.sock", _socket_of_valkey(stack))
        async with postgres, valkey:
            servers = Servers(stack, postgres, valkey)
            try:
                yield servers
            finally:
                await servers.close()


def _socket_of_postgres(stack: Stack) -> Path:
    return Path(parse_qs(urlsplit(stack.database_url).query)["host"][0]) / ".s.PGSQL.5432"


def _socket_of_valkey(stack: Stack) -> Path:
    return Path(urlsplit(stack.redis_url).path)
