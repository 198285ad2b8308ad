"""Connections to databases' servers, which stay open from one round to the next."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from models import DatabaseType, background
from workers.databases import ENGINES
from workers.databases.contract import Ask, Credentials, Engine, Statistics

CLOSE_SECONDS = 2.0
"""For the server's side of a farewell; then a connection is left to itself."""


@dataclass(frozen=True)
class Target:
    """What a connection is made to. Where any of it is another, so is the connection."""

    container: str
    type: DatabaseType
    host: str
    port: int
    credentials: Credentials


@dataclass(frozen=True)
class _Open:
    target: Target
    manager: AbstractAsyncContextManager[Ask]
    ask: Ask


class Connections:
    """At most one connection to each database; of nothing that goes wrong with one does another one take notice."""

    def __init__(self, engines: Mapping[DatabaseType, Engine] = ENGINES) -> None:
        self._engines = engines
        self._open: dict[UUID, _Open] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def databases(self) -> frozenset[UUID]:
        """To which there is one."""
        return frozenset(self._open)

    async def ask(self, database: UUID, target: Target, seconds: float) -> Statistics:
        """What a server says of itself, within so many seconds, connecting included.

        Raises `TimeoutError` and whatever an engine's library raises; then there is no connection any more.
        """
        try:
            async with asyncio.timeout(seconds):
                return await (await self._opened(database, target, seconds))()
        except BaseException:
            self._drop(database)
            raise

    def keep(self, databases: Iterable[UUID]) -> None:
        """Close those to any other databases."""
        for database in self.databases.difference(databases):
            self._drop(database)

    async def close(self) -> None:
        """Close them all."""
        self.keep(())
        if self._closing:
            await asyncio.wait(self._closing)

    async def _opened(self, database: UUID, target: Target, seconds: float) -> Ask:
        found = self._open.get(database)
        if found is not None and found.target != target:
            self._drop(database)
            found = None
        if found is None:
            manager = self._engines[target.type].connect(target.host, target.port, target.credentials, seconds)
            found = self._open[database] = _Open(target, manager, await manager.__aenter__())
        return found.ask

    def _drop(self, database: UUID) -> None:
        """Close one, without waiting for it."""
        if found := self._open.pop(database, None):
            closing = background.start(_closed(found.manager))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _closed(manager: AbstractAsyncContextManager[Ask]) -> None:
    """Take leave of a server, which may not be there any more."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await manager.__aexit__(None, None, None)
