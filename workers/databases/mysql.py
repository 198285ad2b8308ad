"""MySQL."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from models import DatabaseType
from workers.databases.contract import SECRETS, Ask, Command, Credentials, Damaged, Dump, Engine, Plan, Replace, Setting, Statistics

_WHOLE = re.compile(rb"\n-- Dump completed[^\n]*\n+\Z")
_LAST = 512
"""Bytes at the end among which the last line is."""
_STATUS = (
    "show global status where variable_name in "
    "('Threads_connected', 'Questions', 'Innodb_buffer_pool_reads', 'Innodb_buffer_pool_read_requests')"
)
_SIZE = "select cast(sum(data_length + index_length) as signed) from information_schema.tables where table_schema = %s"
_ANEW = """
set -e
name="$1"; shift
had=$(mysql "$@" -NBe "select concat(' character set ', default_character_set_name, ' collate ', default_collation_name)
    from information_schema.schemata where schema_name = '$name'")
mysql "$@" -e "drop database if exists \\`$name\\`; create database \\`$name\\`${had:- character set utf8mb4}"
"""
_CLIENT = ("--default-character-set=utf8mb4", "-h127.0.0.1", "-uroot")


def _server(plan: Plan) -> tuple[str, ...]:
    most = plan.setting("maxConnections", 151)
    pool = plan.setting("sharedBuffers", max(32, plan.memory // 4))
    return ("mysqld", f"--max-connections={most}", f"--innodb-buffer-pool-size={pool}M")


def _url(credentials: Credentials, host: str, password: str) -> str:
    return f"mysql://{credentials.userinfo(password)}@{host}:3306/{credentials.database}"


def _secrets(credentials: Credentials) -> dict[str, str]:
    return {"MYSQL_PWD": credentials.admin_password}


def _dump(credentials: Credentials, compress: bool) -> Dump:
    """MySQL's own tool would write into the dump which transactions it holds, and MariaDB's does not know the option against it."""
    script = 'case "$(mysqldump --version)" in *MariaDB*) ;; *) set -- --set-gtid-purged=OFF "$@" ;; esac; exec mysqldump "$@"'
    flags = ("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--no-tablespaces")
    argv = ("sh", "-c", script, "mysqldump", *_CLIENT, *flags, credentials.database)
    return Dump(Command(argv, _secrets(credentials)), ".sql")


def _empty(credentials: Credentials) -> Command:
    """The database anew, with the character set that it had."""
    return Command(("sh", "-c", _ANEW, "sh", credentials.database, *_CLIENT), _secrets(credentials))


def _load(credentials: Credentials, foreign: bool) -> Command:
    return Command(("mysql", *_CLIENT, "--comments", credentials.database), _secrets(credentials))


def _rotate(credentials: Credentials, password: str) -> Command:
    """The statement is told by standard input, where nobody else reads it."""
    statement = f"alter user '{credentials.username}'@'%' identified by '{password}';\n"
    return Command(("mysql", *_CLIENT), _secrets(credentials), statement)


class _Whole:
    """A dump says by its last line that it is complete."""

    def __init__(self) -> None:
        self._last = b"\n"

    def feed(self, data: bytes) -> None:
        """Keep what may be the last line."""
        self._last = (self._last[-_LAST:] + data[-_LAST:])[-_LAST:]

    def finish(self) -> None:
        """Look at it. Raises `Damaged`."""
        if not _WHOLE.search(self._last):
            raise Damaged


@asynccontextmanager
async def _connect(host: str, port: int, credentials: Credentials, seconds: float) -> AsyncIterator[Ask]:
    import aiomysql  # only the process that asks for statistics needs it

    connection = await aiomysql.connect(
        host=host, port=port, user="root", password=credentials.admin_password, connect_timeout=seconds, autocommit=True
    )

    async def ask() -> Statistics:
        async with connection.cursor() as cursor:
            await cursor.execute(_STATUS)
            found = {name.lower(): int(value) for name, value in await cursor.fetchall()}
            await cursor.execute(_SIZE, (credentials.database,))
            (size,) = await cursor.fetchone()
        asked, missed = found["innodb_buffer_pool_read_requests"], found["innodb_buffer_pool_reads"]
        return Statistics(found["threads_connected"] - 1, found["questions"], 1 - missed / asked if asked else None, int(size or 0))

    try:
        yield ask
    finally:
        with suppress(Exception):
            async with asyncio.timeout(seconds):
                await connection.ensure_closed()  # the server counts those that leave without a word as aborted
        connection.close()


MYSQL = Engine(
    type=DatabaseType.mysql,
    title="MySQL",
    image="mysql",
    versions=("9", "8.4", "8"),
    port=3306,
    volume=lambda version: "/var/lib/mysql",
    least_memory=384,
    username="app",
    names=frozenset({"mysql", "sys", "information_schema", "performance_schema"}),
    settings=(
        Setting("maxConnections", 5, 10_000),
        Setting("sharedBuffers", 5, 1 << 20, alias="innodbBufferPoolSize", sized=True, share=0.6),
    ),
    files=lambda credentials: {"password": credentials.password, "root-password": credentials.admin_password},
    environment=lambda credentials: {
        "MYSQL_USER": credentials.username,
        "MYSQL_DATABASE": credentials.database,
        "MYSQL_PASSWORD_FILE": f"{SECRETS}/password",
        "MYSQL_ROOT_PASSWORD_FILE": f"{SECRETS}/root-password",
    },
    server=_server,
    ready=lambda credentials: f"MYSQL_PWD=\"$(cat {SECRETS}/root-password)\" mysql -h127.0.0.1 -uroot -NBe 'select 1' >/dev/null",
    url=_url,
    dump=_dump,
    verify=None,
    inspect=_Whole,
    restore=Replace(
        copies=True,
        server=("mysqld",),
        ready=lambda credentials: Command(("mysql", *_CLIENT, "-NBe", "select 1"), _secrets(credentials)),
        empty=_empty,
        load=_load,
    ),
    rotate=_rotate,
    connect=_connect,
    failures=(
        (r"(?:ERROR|error:?) 1045|Access denied", "DATABASE_AUTH_FAILED", ""),
        (r"No space left on device|table '[^']*' is full|errno: 28", "VOLUME_FULL", ""),
        (r"(?:ERROR|[Ee]rror:?) 20(?:02|03|13)|Can't connect|Lost connection", "DATABASE_UNREACHABLE", ""),
    ),
)
