"""MongoDB."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from models import DatabaseType
from workers.databases.contract import SECRETS, Ask, Command, Credentials, Dump, Engine, Plan, Replace, Setting, Statistics
from workers.databases.mongo_archive import Archive

_TOOL = (
    'umask 077; f="$(mktemp)"; trap \'rm -f "$f"\' EXIT; printf \'password: "%s"\\n\' "$DOKPLOY_PASSWORD" > "$f"; '
    'unset DOKPLOY_PASSWORD; tool="$1"; shift; "$tool" --config "$f" "$@"'
)
"""The tools take a password from a file, or else from their arguments, which everybody reads."""
_OWN = 2
"""Connections of whoever asks for statistics: the one that asks, and the driver's that looks whether the server is there."""
_CONNECTED = "const admin = new Mongo(process.env.DOKPLOY_URI).getDB('admin'); "


def _server(plan: Plan) -> tuple[str, ...]:
    cache = plan.setting("sharedBuffers", max(256, plan.memory // 2 - 256))
    return ("mongod", "--auth", "--bind_ip_all", "--maxConns", str(plan.setting("maxConnections", 1000)), *_cache(cache))


def _cache(mebibytes: int) -> tuple[str, str]:
    return ("--wiredTigerCacheSizeGB", f"{mebibytes / 1024:g}")


def _url(credentials: Credentials, host: str, password: str) -> str:
    return f"mongodb://{credentials.userinfo(password)}@{host}:27017/{credentials.database}?authSource=admin"


def _tool(name: str, credentials: Credentials, *arguments: str) -> Command:
    user = ("--username", credentials.username, "--authenticationDatabase", "admin")
    return Command(("sh", "-c", _TOOL, "sh", name, *user, *arguments), {"DOKPLOY_PASSWORD": credentials.password})


def _dump(credentials: Credentials, compress: bool) -> Dump:
    return Dump(_tool("mongodump", credentials, "--db", credentials.database, "--archive", "--quiet"), ".archive")


def _mongosh(credentials: Credentials, script: str, **secrets: str) -> Command:
    uri = f"mongodb://{credentials.userinfo()}@127.0.0.1/admin"
    return Command(("mongosh", "--quiet", "--nodb", "--eval", _CONNECTED + script), {"DOKPLOY_URI": uri} | secrets)


def _empty(credentials: Credentials) -> Command:
    return _mongosh(credentials, f"admin.getSiblingDB('{credentials.database}').dropDatabase()")


def _load(credentials: Credentials, foreign: bool) -> Command:
    """An archive knows the name of its database, which another one may not have."""
    renamed = ("--nsFrom", "$db$.$collection$", "--nsTo", f"{credentials.database}.$collection$") if foreign else ()
    return _tool("mongorestore", credentials, "--archive", "--drop", "--quiet", "--stopOnError", *renamed)


def _rotate(credentials: Credentials, password: str) -> Command:
    script = f"admin.changeUserPassword('{credentials.username}', process.env.DOKPLOY_PASSWORD)"
    return _mongosh(credentials, script, DOKPLOY_PASSWORD=password)


@asynccontextmanager
async def _connect(host: str, port: int, credentials: Credentials, seconds: float) -> AsyncIterator[Ask]:
    from pymongo import AsyncMongoClient  # only the process that asks for statistics needs it

    milliseconds = int(seconds * 1000)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        host,
        port,
        username=credentials.username,
        password=credentials.password,
        authSource="admin",
        directConnection=True,
        maxPoolSize=1,
        serverMonitoringMode="poll",
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        socketTimeoutMS=milliseconds,
    )
    async with client:

        async def ask() -> Statistics:
            told = await client.admin.command("serverStatus")
            held = await client[credentials.database].command("dbStats")
            cache = (told.get("wiredTiger") or {}).get("cache") or {}
            asked, missed = cache.get("pages requested from the cache"), cache.get("pages read into cache")
            return Statistics(
                connections=max(int(told["connections"]["current"]) - _OWN, 0),
                queries=int(sum(told["opcounters"].values())),
                cache_hit_rate=1 - missed / asked if asked and missed is not None else None,
                size=int(held.get("storageSize", 0) + held.get("indexSize", 0)),
            )

        await ask()
        yield ask


MONGODB = Engine(
    type=DatabaseType.mongodb,
    title="MongoDB",
    image="mongo",
    versions=("8", "7", "6"),
    port=27017,
    volume=lambda version: "/data/db",
    least_memory=512,
    username="app",
    names=frozenset({"admin", "local", "config"}),
    settings=(
        Setting("maxConnections", 5, 100_000, alias="maxConns"),
        Setting("sharedBuffers", 256, 1 << 20, alias="wiredTigerCacheSize", sized=True, share=0.6),
    ),
    files=lambda credentials: {"password": credentials.password},
    environment=lambda credentials: {
        "MONGO_INITDB_ROOT_USERNAME": credentials.username,
        "MONGO_INITDB_ROOT_PASSWORD_FILE": f"{SECRETS}/password",
    },
    server=_server,
    ready=lambda credentials: 'mongosh --quiet --host "$HOSTNAME" --eval \'quit(db.adminCommand("ping").ok ? 0 : 1)\' >/dev/null',
    url=_url,
    dump=_dump,
    verify=None,
    inspect=Archive,
    restore=Replace(
        copies=True,
        server=("mongod", "--auth", *_cache(256)),
        ready=lambda credentials: _mongosh(credentials, "quit(admin.runCommand({ping: 1}).ok ? 0 : 1)"),
        empty=_empty,
        load=_load,
    ),
    rotate=_rotate,
    connect=_connect,
    ready_seconds=10,  # a shell that takes most of a second
    failures=(
        (r"[Aa]uthentication ?[Ff]ailed|SCRAM", "DATABASE_AUTH_FAILED", ""),
        (r"CRC mismatch|demultiplexing|does not appear to be a mongodump archive", "BACKUP_DAMAGED", ""),
        (r"[Nn]o space left on device", "VOLUME_FULL", ""),
        (r"ECONNREFUSED|[Cc]onnection refused|[Ss]erver selection", "DATABASE_UNREACHABLE", ""),
    ),
)
