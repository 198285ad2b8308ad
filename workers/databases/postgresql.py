"""PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from models import DatabaseType
from workers.databases.contract import SECRETS, Ask, Command, Credentials, Dump, Engine, Plan, Setting, Statistics, Swap

_NEW, _OLD = "~restoring", "~dropped"
"""Suffixes of the database that is being filled, and of the one whose place it has taken; nobody else's name ends so."""
_STATISTICS = """
    select (select count(*) from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()) as connections,
           xact_commit + xact_rollback as queries, blks_hit::float8 / nullif(blks_hit + blks_read, 0) as cache_hit_rate,
           pg_database_size(current_database()) as size
    from pg_stat_database where datname = current_database()
"""


def _server(plan: Plan) -> tuple[str, ...]:
    shared = plan.setting("sharedBuffers", max(32, plan.memory // 4))
    return ("postgres", "-c", f"max_connections={plan.setting('maxConnections', 100)}", "-c", f"shared_buffers={shared}MB")


def _volume(version: str) -> str:
    """Since 18 the image keeps its data in a directory per version."""
    return "/var/lib/postgresql" if int(version.partition(".")[0]) >= 18 else "/var/lib/postgresql/data"


def _url(credentials: Credentials, host: str, password: str) -> str:
    return f"postgresql://{credentials.userinfo(password)}@{host}:5432/{credentials.database}"


def _secrets(credentials: Credentials) -> dict[str, str]:
    return {"PGPASSWORD": credentials.password}


def _psql(credentials: Credentials, *statements: str) -> Command:
    argv = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", credentials.username, "-d", "postgres"]
    return Command((*argv, *(part for each in statements for part in ("-c", each))), _secrets(credentials))


def _dump(credentials: Credentials, compress: bool) -> Dump:
    level = "-Z1" if compress else "-Z0"
    argv = ("pg_dump", "-U", credentials.username, "-d", credentials.database, "-Fc", level)
    return Dump(Command(argv, _secrets(credentials)), ".dump", compresses=True)


def _prepare(credentials: Credentials) -> Command:
    return _psql(credentials, *_dropped(credentials), f'create database "{credentials.database}{_NEW}" template template0')


def _dropped(credentials: Credentials) -> list[str]:
    return [f'drop database if exists "{credentials.database}{suffix}" with (force)' for suffix in (_NEW, _OLD)]


_USERS = r"""
pg_restore -U "$1" -d "$2" --schema-only 2>&1 >/dev/null | sed -n 's/.*role "\(.*\)" does not exist.*/\1/p' | sort -u |
while IFS= read -r role; do
    echo 'create role :"role" nologin' | psql -X -q -v ON_ERROR_STOP=1 -U "$1" -d postgres -v role="$role" || exit 1
done
"""
"""A backup of a database holds no roles: those that the server itself misses, when it is shown the backup, are made."""


def _users(credentials: Credentials) -> Command:
    argv = ("sh", "-c", _USERS, "sh", credentials.username, credentials.database + _NEW)
    return Command(argv, _secrets(credentials))


def _load(credentials: Credentials) -> Command:
    argv = ("pg_restore", "-U", credentials.username, "-d", credentials.database + _NEW, "--exit-on-error")
    return Command(argv, _secrets(credentials))


def _commit(credentials: Credentials) -> Command:
    """One transaction gives both their names, so that there is always the one or the other; whoever is connected is sent away first."""
    name = credentials.database
    gone = f"select pg_terminate_backend(pid) from pg_stat_activity where datname in ('{name}', '{name}{_NEW}') and pid <> pg_backend_pid()"
    renamed = f'begin; alter database "{name}" rename to "{name}{_OLD}"; alter database "{name}{_NEW}" rename to "{name}"; commit'
    return _psql(credentials, f'alter database "{name}" with allow_connections false', gone, renamed)


def _undo(credentials: Credentials) -> Command:
    """Drop what was being filled, and what is no longer needed; whoever was kept out may connect again."""
    return _psql(credentials, *_dropped(credentials), f'alter database "{credentials.database}" with allow_connections true')


def _rotate(credentials: Credentials, password: str) -> Command:
    """By a command of the shell, since the psql of 14 cannot read a variable by itself."""
    argv = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", credentials.username, "-d", "postgres")
    statement = f'\\set password `printf %s "$DOKPLOY_PASSWORD"`\nalter user "{credentials.username}" password :\'password\';\n'
    return Command(argv, _secrets(credentials) | {"DOKPLOY_PASSWORD": password}, statement)


@asynccontextmanager
async def _connect(host: str, port: int, credentials: Credentials, seconds: float) -> AsyncIterator[Ask]:
    connection = await asyncpg.connect(
        host=host,
        port=port,
        user=credentials.username,
        password=credentials.password,
        database=credentials.database,
        timeout=seconds,
        server_settings={"search_path": "pg_catalog"},
        command_timeout=seconds,
    )

    async def ask() -> Statistics:
        row = await connection.fetchrow(_STATISTICS)
        return Statistics(**dict(row))

    try:
        yield ask
    finally:
        await connection.close(timeout=seconds)


POSTGRESQL = Engine(
    type=DatabaseType.postgresql,
    title="PostgreSQL",
    image="postgres",
    versions=("18", "17", "16", "15", "14"),
    port=5432,
    volume=_volume,
    least_memory=128,
    username="app",
    names=frozenset({"postgres", "template0", "template1"}),
    settings=(Setting("maxConnections", 5, 10_000), Setting("sharedBuffers", 1, 1 << 20, sized=True, share=0.4)),
    files=lambda credentials: {"password": credentials.password},
    environment=lambda credentials: {
        "POSTGRES_USER": credentials.username,
        "POSTGRES_DB": credentials.database,
        "POSTGRES_PASSWORD_FILE": f"{SECRETS}/password",
    },
    server=_server,
    ready=lambda credentials: f"pg_isready -q -h 127.0.0.1 -U {credentials.username} -d {credentials.database}",
    url=_url,
    dump=_dump,
    verify=Command(("pg_restore", "-f", "/dev/null")),
    inspect=None,
    restore=Swap(_prepare, _users, _load, _commit, _undo),
    rotate=_rotate,
    connect=_connect,
    failures=(
        (r"unsupported version \([0-9.]+\) in file header", "BACKUP_TOO_NEW", ""),
        (r"input file (?:is too short|does not appear)|could not read from input file|did not find magic", "BACKUP_DAMAGED", ""),
        (r"No space left on device", "VOLUME_FULL", ""),
        (r"password authentication failed", "DATABASE_AUTH_FAILED", ""),
        (
            r"Connection refused|closed the connection unexpectedly|the database system is|No such file or directory\s+Is the server",
            "DATABASE_UNREACHABLE",
            "",
        ),
        (r'role "([^"]*)" does not exist', "ROLE_MISSING", "A user that owns something in the backup does not exist any more."),
        (r"out of memory|Out of memory", "OUT_OF_MEMORY", "The database ran out of memory."),
    ),
    shared_memory=256,
)
