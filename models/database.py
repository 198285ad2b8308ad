"""The connection to Postgres, and its migrations."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.connection import get_connection
from tortoise.exceptions import DBConnectionError
from tortoise.migrations.api import migrate as apply_migrations
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.migrations.schema_editor import BasePostgresSchemaEditor
from tortoise.transactions import in_transaction

from models.backend import IMPATIENT, PATIENT, SILENCE_SECONDS, UNLIMITED, Connection, PatientConnection
from models.readers import Readers, connect
from models.settings import settings

AWAY = (
    DBConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that was cut while it was idle, until its end is noticed
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,  # which a process that was frozen in the middle still holds
    asyncpg.TooManyConnectionsError,
    ConnectionError,
)
"""What a statement raises while the database cannot be reached."""

OLDEST = (17,)
"""Postgres that ends a transaction after a time."""
MOST_CONNECTIONS, MOST_READERS = 16, 16
_readers: list[Readers] = []
"""The connections for reads while `connected` lasts."""
_later: ContextVar[list[Callable[[], object]] | None] = ContextVar("later", default=None)
"""What waits for the end of the transaction of `together`."""

MIGRATION_LOCK = 0x646F6B70
"""The advisory lock of whoever changes the schema."""


def credentials(url: str) -> dict[str, Any]:
    """What asyncpg needs of a libpq URL; `?host=/directory` is a unix socket.

    Raises ValueError when the URL is not one of Postgres.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError(f"DOKPLOY_DATABASE_URL must start with postgresql://, not {parts.scheme}://")
    query = dict(parse_qsl(parts.query))
    return {
        "host": query.get("host") or parts.hostname or "localhost",
        "port": parts.port or 5432,
        "user": unquote(parts.username) if parts.username else query.get("user"),
        "password": unquote(parts.password) if parts.password else query.get("password"),
        "database": parts.path.lstrip("/") or "dokploy",
    }


def configuration(url: str, most: int = MOST_CONNECTIONS, limits: Mapping[str, Any] = UNLIMITED) -> dict[str, Any]:
    """Tortoise's configuration for one database, with so many connections at most, made within limits of `models.backend`."""
    pool = {"minsize": 0, "maxsize": most, "statement_cache_size": 1024, "connect": connect}
    return {
        "connections": {"default": {"engine": "models.backend", "credentials": credentials(url) | pool | dict(limits)}},
        "apps": {
            "models": {
                "models": ["models.rows", "models.edge", "models.webhooks", "models.databases", "models.alerts", "models.notifications"],
                "migrations": "models.migrations",
                "default_connection": "default",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


@asynccontextmanager
async def connected(most: int = MOST_CONNECTIONS, *, impatient: bool = False) -> AsyncIterator[None]:
    """Hold the process's connections for the event loop that runs this: so many for the ORM at most, and those for reads.

    Whatever does not come within the limits of `models.backend` raises one of `AWAY`; in an impatient process somebody waits for each
    answer.
    """
    url, limits = settings().database_url, IMPATIENT if impatient else PATIENT
    await Tortoise.init(config=configuration(url, most, limits), _enable_global_fallback=True)
    readers = Readers(credentials(url) | limits, MOST_READERS)
    _readers.append(readers)
    try:
        yield
    finally:
        _readers.remove(readers)
        await readers.close()
        await Tortoise.close_connections()


def database() -> BaseDBAsyncClient:
    """The pool, or the transaction that this task is in, for statements of our own."""
    return get_connection("default")


def connection() -> Any:
    """A connection for as long as `async with` lasts, for reads: inside of `together` the transaction's, else one for reads alone."""
    return _readers[-1].lend() if _later.get() is None else database().acquire_connection()


@asynccontextmanager
async def joined() -> AsyncIterator[BaseDBAsyncClient]:
    """The transaction that is under way, which is lost with whatever is raised inside, or else one of its own."""
    client = database()
    if isinstance(client, TransactionalDBClient):
        yield client
        return
    async with in_transaction() as connection:
        yield connection


@asynccontextmanager
async def together() -> AsyncIterator[None]:
    """One transaction around everything inside, other transactions too; then what `after_commit` was given is done."""
    outer = _later.get()
    later: list[Callable[[], object]] = [] if outer is None else outer
    token, before = _later.set(later), len(later)
    try:
        async with in_transaction():
            yield
    except BaseException:
        del later[before:]
        raise
    finally:
        _later.reset(token)
    if outer is None:
        for each in later:
            each()


def is_together() -> bool:
    """Whether a transaction of `together` is under way."""
    return _later.get() is not None


async def counted() -> None:
    """Have what was made or deleted in the transaction under way counted, which is else done when it ends, so that it can be shown."""
    if is_together():
        await database().execute_script("set constraints all immediate")


def after_commit(work: Callable[[], object]) -> None:
    """Do something once the transaction of `together` has been committed, or at once where there is none."""
    later = _later.get()
    if later is None:
        work()
    else:
        later.append(work)


async def fetch(sql: str, *values: Any) -> list[Any]:
    """The rows of a statement of our own, past the ORM; inside a transaction, as it sees them."""
    client = database()
    async with client.acquire_connection() if isinstance(client, TransactionalDBClient) else connection() as lent:
        found: list[Any] = await lent.fetch(sql, *values)
        return found


@asynccontextmanager
async def own_connection(kind: type[Connection] = PatientConnection) -> AsyncIterator[Any]:
    """A connection outside the pool, for session locks. Raises `ConnectionError` when there is none to be had.

    It ends with `ConnectionError`, too, when an answer does not come within its kind's patience.
    """
    connection = await connect(**credentials(settings().database_url), timeout=SILENCE_SECONDS, connection_class=kind)
    try:
        yield connection
    finally:
        await connection.close(timeout=kind.patience)


class PostgresTooOld(Exception):
    """Postgres 17 or newer is needed."""


async def migrate() -> None:
    """Bring the schema up to date; several callers at once take turns. Raises `PostgresTooOld`."""
    async with own_connection(Connection) as connection:
        if (found := connection.get_server_version()) < OLDEST:
            raise PostgresTooOld(f"{PostgresTooOld.__doc__} This is {found.major}.{found.minor}.")
        await connection.execute("select pg_advisory_lock($1)", MIGRATION_LOCK)
        await apply_migrations(config=configuration(settings().database_url))
        await Tortoise.close_connections()


async def migrate_within(transaction: BaseDBAsyncClient, last: str | None = None) -> None:
    """Bring the schema up to a migration, or up to date, as part of a transaction on `default`; `configuration` was given to Tortoise."""
    executor = MigrationExecutor(transaction, _apps())
    # It asks for its table before it makes it, and is content with any answer; a transaction is not.
    await executor.recorder.ensure_schema(BasePostgresSchemaEditor(transaction, atomic=False))
    await executor.migrate([MigrationTarget("models", last or "__latest__")], direction="forward")


async def migrations() -> tuple[str, ...]:
    """The names of all migrations there are, in their order."""
    loader = MigrationLoader(_apps(), MigrationRecorder(None), load=False)
    await loader.build_graph()
    [last] = loader.graph.leaf_nodes("models")
    return tuple(key.name for key in loader.graph.forwards_plan(last))


def _apps() -> dict[str, Any]:
    return dict(configuration(settings().database_url)["apps"])


async def answers() -> bool:
    """Whether the database answers, in an impatient process within its limits."""
    try:
        await database().execute_query("select 1")
    except (*AWAY, OSError, asyncpg.PostgresError):
        return False
    return True
