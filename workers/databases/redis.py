"""Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from models import DatabaseType
from workers.databases.contract import SECRETS, Ask, Command, Credentials, Dump, Engine, Plan, Replace, Setting, Statistics

_CONFIGURATION = "redis.conf"
_POLICIES = (
    *("noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
)
_WRITE = """
set -e
mkdir -p appendonlydir
cat > appendonlydir/appendonly.aof.1.base.rdb
redis-check-rdb appendonlydir/appendonly.aof.1.base.rdb >&2
echo 'file appendonly.aof.1.base.rdb seq 1 type b' > appendonlydir/appendonly.aof.manifest
chown -R 999:999 .
"""
"""A server with `appendonly yes` takes no notice of a dump.rdb; this is how its own file begins."""


def _server(plan: Plan) -> tuple[str, ...]:
    memory = plan.setting("maxMemory", plan.memory * 3 // 4)
    limits = ("--maxclients", str(plan.setting("maxConnections", 10_000)), "--maxmemory", f"{memory}mb")
    policy = ("--maxmemory-policy", plan.setting("maxMemoryPolicy", "noeviction"))
    return ("redis-server", f"{SECRETS}/{_CONFIGURATION}", *limits, *policy)


def _file(credentials: Credentials) -> str:
    """What is not in the command line: the password, and that nothing is lost."""
    lines = (f"requirepass {credentials.password}", "appendonly yes", "dir /data", "repl-diskless-sync-delay 0")
    return "".join(f"{line}\n" for line in lines)


def _url(credentials: Credentials, host: str, password: str) -> str:
    return f"redis://{credentials.userinfo(password)}@{host}:6379/0"


def _secrets(credentials: Credentials) -> dict[str, str]:
    return {"REDISCLI_AUTH": credentials.password}


def _dump(credentials: Credentials, compress: bool) -> Dump:
    """Through a file: to standard output the tool appends a mark that does not belong there."""
    script = 'umask 077; f="$(mktemp)"; trap \'rm -f "$f"\' EXIT; redis-cli --rdb "$f" >&2 && cat "$f"'
    return Dump(Command(("sh", "-c", script), _secrets(credentials)), ".rdb")


@asynccontextmanager
async def _connect(host: str, port: int, credentials: Credentials, seconds: float) -> AsyncIterator[Ask]:
    retry = Retry(NoBackoff(), 0)
    async with Redis(
        host=host, port=port, password=credentials.password, socket_timeout=seconds, socket_connect_timeout=seconds, retry=retry
    ) as client:

        async def ask() -> Statistics:
            told = await client.info()
            hits, misses = told["keyspace_hits"], told["keyspace_misses"]
            rate = hits / (hits + misses) if hits + misses else None
            return Statistics(told["connected_clients"] - 1, told["total_commands_processed"], rate, told["used_memory"])

        await ask()
        yield ask


REDIS = Engine(
    type=DatabaseType.redis,
    title="Redis",
    image="redis",
    versions=("8", "7"),
    port=6379,
    volume=lambda version: "/data",
    least_memory=32,
    username="default",
    names=frozenset(),
    settings=(
        Setting("maxConnections", 5, 100_000, alias="maxclients"),
        Setting("maxMemory", 1, 1 << 20, alias="maxmemory", sized=True, share=0.9),
        Setting("maxMemoryPolicy", alias="maxmemoryPolicy", words=_POLICIES),
    ),
    files=lambda credentials: {_CONFIGURATION: _file(credentials)},
    environment=lambda credentials: {},
    server=_server,
    ready=lambda credentials: f"REDISCLI_AUTH=\"$(sed -n 's/^requirepass //p' {SECRETS}/{_CONFIGURATION})\" redis-cli ping | grep -qx PONG",
    url=_url,
    dump=_dump,
    verify=Command(("sh", "-c", 'umask 077; f="$(mktemp)"; trap \'rm -f "$f"\' EXIT; cat > "$f" && redis-check-rdb "$f" >&2')),
    inspect=None,
    restore=Replace(
        copies=False,
        server=("redis-server", "--appendonly", "yes", "--dir", "/data"),
        ready=lambda credentials: Command(("sh", "-c", "redis-cli ping | grep -qx PONG")),
        write=Command(("sh", "-c", _WRITE)),
    ),
    rotate=None,
    connect=_connect,
    failures=(
        (r"NOAUTH|WRONGPASS|invalid username-password", "DATABASE_AUTH_FAILED", ""),
        (r"RDB ERROR DETECTED|Unexpected EOF|RDB CRC error|Wrong signature|Short read", "BACKUP_DAMAGED", ""),
        (r"Can't handle RDB format version", "BACKUP_TOO_NEW", ""),
        (r"No space left on device", "VOLUME_FULL", ""),
        (r"Could not connect|Connection (?:refused|reset)|[Ss]erver closed the connection", "DATABASE_UNREACHABLE", ""),
    ),
)
