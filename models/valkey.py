"""Connections to Valkey or Redis, which nobody waits for long."""

import asyncio
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from models.settings import settings

AWAY = (RedisError, OSError)
"""What a command raises while it cannot be reached."""
PATIENCE = 1.0
"""Seconds for a connection, and for the answer to a command."""
CONNECT_SECONDS = 2.0
MOST_CONNECTIONS = 4

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()


def listener() -> Redis:
    """A client of one's own, for messages that may come at any time."""
    return Redis.from_url(settings().redis_url, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0))


def client() -> Redis:
    """The client that this event loop keeps for everything else: few connections, whatever is asked of it."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        limits = {"max_connections": MOST_CONNECTIONS, "timeout": PATIENCE, "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
        pool = BlockingConnectionPool.from_url(settings().redis_url, retry=Retry(NoBackoff(), 0), **limits)
        _clients[loop] = Redis.from_pool(pool)
    return _clients[loop]


async def close() -> None:
    """Give up the connections of this event loop; whoever asks next makes new ones."""
    found = _clients.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()


async def answers() -> bool:
    """Whether it answers soon."""
    try:
        return bool(await client().ping())
    except AWAY:
        return False
