"""The servers we bring along, and whatever runs beside them, as one thing that is entered and left."""

import contextlib
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded import binaries, caddy, postgres, valkey
from gateway.embedded.accounts import server_account
from gateway.embedded.caddy import Caddy
from gateway.embedded.children import Command
from gateway.embedded.directory import MARK, DataDirectory, held
from gateway.embedded.postgres import Postgres
from gateway.embedded.supervisor import Report, Supervised, Supervisor, say
from gateway.embedded.valkey import Valkey


class Stack:
    """Postgres and Valkey, each unless its URL is given, running for as long as the block lasts and restarted when they die.

    `async with Stack(data, database_url=None, redis_url=None) as stack:` holds the directory `data`; use it on the main thread.
    """

    database_url: str
    redis_url: str
    directory: DataDirectory

    def __init__(self, data: Path, *, database_url: str | None = None, redis_url: str | None = None, report: Report = say) -> None:
        self._data = data
        self._given = database_url, redis_url
        self.supervisor = Supervisor(report)
        self._exit = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start what is missing and wait until it answers. Raises `EmbeddedError` and `OSError`; then nothing is left running."""
        async with contextlib.AsyncExitStack() as exit_stack:
            self.directory = exit_stack.enter_context(held(self._data))
            exit_stack.push_async_callback(self.supervisor.stop)
            database_url, redis_url = self._given
            self.redis_url = redis_url or await self._start_valkey(self.runtime)
            self.database_url = database_url or await self._start_postgres(self.runtime)
            self._exit = exit_stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything, the last started first, and remove the runtime directory."""
        await self._exit.__aexit__(kind, error, trace)

    @functools.cached_property
    def runtime(self) -> Path:
        """The runtime directory, made when it is first asked for. Raises `NoRuntimeDirectory`."""
        return self.directory.runtime()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which our commands find this stack."""
        return {
            "DOKPLOY_DATABASE_URL": self.database_url,
            "DOKPLOY_REDIS_URL": self.redis_url,
            "DOKPLOY_DATA": str(self.directory.path),
            MARK: self.directory.mark,
        }

    async def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, *, grace: float = 10.0) -> Supervised:
        """Keep a command of ours running, in our environment with `env` and `environment` added. Raises `OSError`."""
        return await self.supervisor.start(self.command(name, argv, env, grace=grace))

    def command(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, *, grace: float = 10.0) -> Command:
        """A command of ours, not started."""
        return Command(name, argv, env={**os.environ, **(env or {}), **self.environment}, grace=grace)

    async def start_caddy(self) -> Path:
        """Have Caddy running, too, with nothing to serve yet. The unix socket of its admin API. Raises `EmbeddedError` and `OSError`."""
        server = Caddy(binaries.caddy_binary(), self.runtime, self.directory.path / "caddy", self.directory.logs / "caddy.log")
        server.initialise()
        supervised = await self.supervisor.start(server.command(), server.clear)
        await supervised.ready(server.answers, seconds=caddy.READY_SECONDS)
        return server.socket

    async def _start_valkey(self, runtime: Path) -> str:
        account = server_account(self.directory.path / "postgres")
        server = Valkey(runtime, binaries.valkey_binary(account, self.directory), account, self.directory.logs / "valkey.log")
        server.initialise()
        await (await self.supervisor.start(server.command())).ready(server.answers, seconds=valkey.READY_SECONDS)
        return server.url

    async def _start_postgres(self, runtime: Path) -> str:
        data = self.directory.path / "postgres"
        account, version = server_account(data), binaries.postgres_version(data)
        folder = binaries.postgres_binaries(version, account, self.directory)
        server = Postgres(data, runtime, folder, version, account, self.directory.logs / "postgres.log")
        await server.initialise()
        supervised = await self.supervisor.start(server.command(), server.clear)
        await supervised.ready(server.answers, seconds=postgres.READY_SECONDS)
        return server.url
