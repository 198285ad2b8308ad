"""An archive becomes what is in a database: all of it, in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.transactions import in_transaction

from models.backend import Connection
from models.database import MIGRATION_LOCK, configuration, migrate_within, migrations
from models.plane import catalog, keys, users
from models.plane.archive import Contents, Item, Manifest, Sequences, Sums, Table, items
from models.plane.dump import LOCK_SECONDS, SERVER_SETTINGS
from models.plane.errors import Damaged, Misfit, NewerBackup, NoTables, NotEmpty

MADE_BY_ITSELF: Final = frozenset({catalog.MIGRATIONS, "installation", "edge_node"})
"""Tables in which there is something before anybody has done anything."""


async def refuse_newer(manifest: Manifest) -> None:
    """Raise `NewerBackup` for a backup whose version or migration is not known here."""
    if manifest.migration not in await migrations() or _release(manifest.dokploy) > _release(version("dokploy")):
        raise NewerBackup(f"The backup was made by dokploy {manifest.dokploy} ({manifest.migration}), which is newer than this one.")


async def load(url: str, backup: Contents, chunks: Iterable[bytes], *, replace: bool) -> None:
    """Make a database what it was, and then one of this version; put the keys in place just before that is final.

    `chunks` are those of the archive that `backup` is about. Raises `InUse`, `NotEmpty` unless `replace`, `OtherKeys`, `MissingKeys`,
    `NewerBackup`, `NewerDatabase`, `Misfit`, `Damaged` and what Postgres says; then database and keys are as they were.
    """
    await refuse_newer(backup.manifest)
    keys.refuse_others(backup.keys)
    made: list[Any] = []
    try:
        async with _transaction(url) as (client, connection):
            await connection.fetchval("select pg_advisory_xact_lock($1::bigint)", MIGRATION_LOCK)
            await users.refuse(connection)
            await _clear(connection, replace=replace)
            await migrate_within(client, backup.manifest.migration)
            await _fill(connection, backup, items(chunks))
            await connection.execute("set constraints all immediate")
            await keys.check(connection, backup.keys, "in the backup")
            await migrate_within(client)
            await connection.execute(f"analyze {catalog.quoted(each.name for each in await catalog.tables(connection))}")
            made += keys.put(backup.keys)
    except BaseException:
        keys.take_away(made)
        raise


@asynccontextmanager
async def _transaction(url: str) -> AsyncIterator[tuple[BaseDBAsyncClient, Any]]:
    limits = {
        "connection_class": Connection,
        "timeout": LOCK_SECONDS,
        "server_settings": SERVER_SETTINGS | {"application_name": "dokploy restore"},
    }
    await Tortoise.init(config=configuration(url, 1, limits), _enable_global_fallback=True)
    try:
        async with in_transaction() as client:
            async with client.acquire_connection() as connection:
                pass  # only the migrations use the client, and they would wait for ever while it is lent
            yield client, connection
    finally:
        await Tortoise.close_connections()


async def _clear(connection: Any, *, replace: bool) -> None:
    """Drop our tables and functions. Raises `NotEmpty` unless there is nothing in them, or they are to be replaced."""
    names = [each.name for each in await catalog.tables(connection)]
    try:
        await catalog.last_migration(connection)  # of a newer database we would not know what to drop
    except NoTables:
        if names and not replace:
            raise NotEmpty from None
    for name in sorted(set(names) - MADE_BY_ITSELF):
        if not replace and await connection.fetchval(f"select exists (select from {catalog.quoted((name,))})"):  # noqa: S608 (quoted)
            raise NotEmpty
    if names:
        await connection.execute(f"drop table {catalog.quoted(names)}")
    await connection.execute(f"drop function if exists {', '.join(catalog.FUNCTIONS)}")


async def _fill(connection: Any, backup: Contents, found: Iterator[Item]) -> None:
    """Put the rows into tables that migrations have just made, without the triggers that were at work when the rows came to be."""
    tables = {each.name: each for each in await catalog.tables(connection)}
    if set(tables) != set(backup.tables):
        raise Misfit(f"The backup does not have the tables of {backup.manifest.migration}: {sorted(set(tables) ^ set(backup.tables))}.")
    triggered = await catalog.triggered(connection)
    await _each(connection, "alter table {} disable trigger user", triggered)
    await _each(connection, "delete from {}", reversed(tables))  # what migrations themselves have put there
    source = _Source(found)
    while not isinstance(item := await source.next(), Sequences):
        if isinstance(item, Table):
            if set(item.columns) != set(tables[item.name].columns):
                raise Misfit(f"The backup does not have the columns of {item.name} at {backup.manifest.migration}.")
            await connection.copy_to_table(item.name, columns=item.columns, source=source.rows(), format="text")
            rows = await connection.fetchval(f"select count(*) from {catalog.quoted((item.name,))}")  # noqa: S608 (quoted)
            if source.sums != backup.tables[item.name] or rows != source.sums.rows:
                raise Damaged
    for name, (last, called) in item.values.items():
        await connection.fetchval("select setval($1::text::regclass, $2, $3)", catalog.quoted((name,)), last, called)
    await source.end()
    await _each(connection, "alter table {} enable trigger user", triggered)


class _Source:
    """What is in the archive, read in a thread."""

    def __init__(self, found: Iterator[Item]) -> None:
        self._found = found
        self.sums: Sums | None = None
        """Of the table before."""

    async def next(self) -> Item:
        item = await asyncio.to_thread(next, self._found, None)
        if item is None:
            raise Damaged
        return item

    async def rows(self) -> AsyncIterator[bytes]:
        while isinstance(item := await self.next(), bytes):
            yield item
        if not isinstance(item, Sums):
            raise Damaged
        self.sums = item

    async def end(self) -> None:
        if await asyncio.to_thread(next, self._found, None) is not None:
            raise Damaged


async def _each(connection: Any, statement: str, names: Iterable[str]) -> None:
    for name in names:
        await connection.execute(statement.format(catalog.quoted((name,))))


def _release(text: str) -> tuple[int, ...]:
    """The numbers of a version, such as (0, 1, 0)."""
    return tuple(int(part) for part in text.partition("+")[0].split(".")[:3] if part.isdigit())
