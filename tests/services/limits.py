"""Rate limits for a test; the suite runs without any."""

from redis.asyncio import Redis

from models.limits import allowances
from models.settings import settings


async def limit_to(text: str) -> None:
    """Switch to the limits of `DOKPLOY_RATE_LIMITS`, with nothing counted yet; who calls it puts `rate_limits` back."""
    settings().__dict__["rate_limits"] = allowances(text)
    async with Redis.from_url(settings().redis_url) as client:
        keys = await client.keys("dokploy:rate:*")
        if keys:
            await client.delete(*keys)
