"""Rate limits: a token bucket, and over it a sliding window, in Redis by one script.

Specification, "Rate Limiting Details"; DECISIONS 12.
"""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from time import monotonic
from typing import Any, Self
from uuid import UUID

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from models import background
from models.enums import RateTier
from models.limits import ANONYMOUS
from models.settings import settings
from schema.context import Context
from schema.errors import RateLimitExceeded, ServiceUnavailable
from schema.scalars import instant

log = structlog.get_logger()

PATIENCE = 1.0
"""Seconds to wait for Redis, and to leave it alone after it did not answer."""
SOON = 0.2
"""Seconds that somebody who is let in without Redis, too, waits for it while it answers nobody."""

MOST_CONNECTIONS = 16

MINUTE, HOUR = 60_000, 3_600_000
"""Milliseconds."""

SCRIPT = """
local limit, burst, cost, span = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(limit, (tonumber(bucket[1]) or limit) + math.max(0, now - (tonumber(bucket[2]) or now)) * limit / span)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - span)
local used = redis.call('ZCARD', KEYS[2])
local wait = 0
if tokens >= cost and used + cost <= burst then
    for _ = 1, cost do
        redis.call('ZADD', KEYS[2], now, redis.call('HINCRBY', KEYS[1], 'number', 1))
    end
    tokens, used = tokens - cost, used + cost
    redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
    redis.call('PEXPIRE', KEYS[1], 2 * span)
    redis.call('PEXPIRE', KEYS[2], span)
else
    wait = math.max(1, math.ceil((cost - tokens) * span / limit))
    local freed = redis.call('ZRANGE', KEYS[2], 0, math.max(0, used + cost - burst - 1), 'WITHSCORES')
    if used + cost > burst and #freed > 0 then
        wait = math.max(wait, freed[#freed] + span - now)
    end
end
local full = now + math.ceil((limit - tokens) * span / limit)
return {wait, math.max(0, math.floor(math.min(tokens, burst - used))), full}
"""


@dataclass(frozen=True)
class Standing:
    """How a caller stands after a request was counted, or was not let in."""

    limit: int
    remaining: int
    reset: int
    """When the bucket is full again, in seconds since 1970."""
    wait: int
    """Seconds until the request would be let in; 0 when it was."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The four headers of the specification."""
        named = {"limit": self.limit, "remaining": self.remaining, "reset": self.reset, "used": max(0, self.limit - self.remaining)}
        return [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in named.items()]

    def check(self) -> None:
        """Raise `RateLimitExceeded` when the request was not let in."""
        if self.wait:
            reset = instant(datetime.fromtimestamp(self.reset, UTC))
            raise RateLimitExceeded(self.wait, limit=self.limit, remaining=self.remaining, resetAt=reset)


def whose(context: Context) -> str:
    """Whose bucket a request takes from: the user's, else that of the address; of IPv6, where one has many, of its network."""
    if context.user is not None:
        return f"user:{context.user.id}"
    try:
        address = ip_address(context.address)
    except ValueError:
        return f"address:{context.address}"
    return f"address:{address if address.version == 4 else ip_network((address, 64), strict=False)}"


class Limiter:
    """Counts requests. While Redis is away whoever is logged in passes, and nobody else does."""

    def __init__(self) -> None:
        self._script: AsyncScript | None = None
        self._away_until = 0.0
        """When Redis, which was away, may be asked again; 0 while it answers."""
        self._answered = 0.0
        """When it answered last."""
        self._late = False
        """Whether it has just kept somebody waiting who is let in without it."""

    async def __aenter__(self) -> Self:
        """Be ready to connect."""
        pool = BlockingConnectionPool.from_url(
            settings().redis_url,
            max_connections=MOST_CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = Redis.from_pool(pool).register_script(SCRIPT)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up the connections."""
        if self._script is not None:
            await self._script.registered_client.aclose()

    async def take(self, context: Context, cost: int = 1) -> Standing | None:
        """Count a request; None when limits are off or cannot be looked at soon. Raises `ServiceUnavailable`."""
        allowances = settings().rate_limits
        if allowances is None:
            return None
        user = context.user
        allowance = allowances[user.tier.value if user else ANONYMOUS]
        asking = self._ask(whose(context), [allowance.limit, allowance.burst, cost, MINUTE])
        standing = await (asking if user is None else self._soon(asking))
        if standing is None and user is None:
            raise ServiceUnavailable
        return standing

    async def take_webhook(self, application: UUID, tier: RateTier) -> None:
        """Count a verified webhook to an application whose owner is of a tier (DECISIONS 12). Raises `RateLimitExceeded`."""
        allowances = settings().rate_limits
        if allowances is None:
            return
        most = allowances[tier.value].webhooks
        if most == 0:
            raise RateLimitExceeded(HOUR // 1000, limit=0, remaining=0)
        standing = await self._soon(self._ask(f"webhooks:{application}", [most, most, 1, HOUR]))
        if standing is not None:
            standing.check()

    async def _soon(self, asking: Coroutine[Any, Any, Standing | None]) -> Standing | None:
        """What is found, unless it takes longer than somebody who is let in anyway should wait; it is asked to its end all the same."""
        if self._late or self._away_until > monotonic():
            asking.close()
            return None
        task = background.start(asking)
        if self._away_until:
            return None
        while not task.done():
            await asyncio.wait({task}, timeout=SOON)
            if not task.done() and monotonic() - self._answered > SOON:
                self._late = True
                return None
        return task.result()

    async def _ask(self, who: str, asked: Sequence[int]) -> Standing | None:
        """Ask Redis, one request at a time when it was away. None when it is."""
        if self._away_until > monotonic():
            return None
        if self._away_until:
            self._away_until = monotonic() + 2 * PATIENCE
        try:
            standing = await self._counted(who, asked)
        except (RedisError, OSError) as error:
            log.warning("ratelimit.redis_away", error=str(error))
            self._away_until = monotonic() + PATIENCE
            return None
        finally:
            self._late = False
        self._away_until, self._answered = 0.0, monotonic()
        return standing

    async def _counted(self, who: str, asked: Sequence[int]) -> Standing:
        if self._script is None:
            raise ConnectionError("the limiter has not been entered")
        keys = [f"dokploy:rate:{{{who}}}:{part}" for part in ("bucket", "window")]
        wait, remaining, full = await self._script(keys=keys, args=asked)
        return Standing(asked[0], remaining, math.ceil(full / 1000), math.ceil(wait / 1000))


limiter = Limiter()
