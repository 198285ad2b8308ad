"""What is in the database at one moment, as an archive.

Postgres copies it out itself: no client of another version is needed, and none comes with this project's image.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from models.database import MIGRATION_LOCK, credentials
from models.plane import catalog, keys
from models.plane.archive import Contents, Emit, Manifest, Sequences, Writer
from models.plane.errors import Misfit
from models.readers import connect

LOCK_SECONDS: Final = 10.0
"""For whatever somebody else holds."""
SERVER_SETTINGS: Final = {
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lock_timeout": f"{LOCK_SECONDS:.0f}s",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""The same text for the same value on each server, and as much time as it takes."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    """A connection to a database whose schema nobody changes meanwhile, in a transaction that sees it at one moment.

    Both end together: whoever is stopped in the middle of a copy could not even say that the transaction is over.
    """
    named = SERVER_SETTINGS | {"application_name": "dokploy backup"}
    connection = await connect(**credentials(url), timeout=LOCK_SECONDS, server_settings=named)
    try:
        await connection.execute("select pg_advisory_lock_shared($1::bigint)", MIGRATION_LOCK)
        await connection.execute("begin isolation level repeatable read, read only")
        yield connection
    finally:
        connection.terminate()


async def dump(connection: Any, write_to: Emit, where_keys_are: str) -> Contents:
    """Write everything in the transaction of `opened`. What it was.

    Raises `NoTables`, `NewerDatabase`, `MissingKeys`, and what the connection and `write_to` raise.
    """
    migration, held, writer = await catalog.last_migration(connection), keys.in_effect(), Writer(write_to)
    await keys.check(connection, held, where_keys_are)
    tables = await catalog.tables(connection)
    names = {each.name for each in tables}
    manifest = Manifest(
        dokploy=version("dokploy"),
        migration=migration,
        taken_at=datetime.now(UTC),
        installation=await connection.fetchval("select id from installation") if "installation" in names else None,
        postgres=await connection.fetchval("show server_version"),
    )
    await writer.begin(manifest, held)
    for table in tables:
        await writer.table(table)
        status = await connection.copy_from_table(table.name, columns=table.columns, output=writer.rows, format="text")
        sums = await writer.end_table()
        if status != f"COPY {sums.rows}":
            raise Misfit(f"Postgres has copied other rows of {table.name} than have come: {status}, {sums.rows}.")
    # Sequences stand outside of transactions: what they say now is not behind any row above.
    values = {name: await _value(connection, name) for name in await catalog.sequences(connection)}
    return await writer.end(Sequences(values))


async def _value(connection: Any, sequence: str) -> tuple[int, bool]:
    last, called = await connection.fetchrow(f"select last_value, is_called from {catalog.quoted((sequence,))}")  # noqa: S608 (quoted)
    return last, called
