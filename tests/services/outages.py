"""A whole installation of its own whose Postgres and Redis can go away, and people who go on asking meanwhile."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import httpx2

from gateway.embedded.children import run
from gateway.embedded.stack import Stack
from gateway.embedded.up import CLI, migrate_argv
from models.database import credentials
from tests.faults.proxy import Proxy
from tests.services.conftest import Api, _registered
from tests.services.gateways import Gateway, browser, gateways

SOCKET = ".s.PGSQL.5432"


@dataclass(frozen=True)
class Site:
    """One gateway that reaches its servers through proxies."""

    stack: Stack
    gateway: Gateway
    postgres: Proxy
    redis: Proxy
    api: Api


@asynccontextmanager
async def site(**environment: str) -> AsyncIterator[Site]:
    """An installation on a directory of its own, with its owner."""
    path = Path(tempfile.mkdtemp(prefix="dk-"))
    between = path / "between"
    between.mkdir()
    async with Stack(path / "data", report=lambda line: None) as stack:
        assert await run(stack.command("migrate", migrate_argv(CLI))) == 0
        sockets = Path(credentials(stack.database_url)["host"]) / SOCKET, Path(unquote(urlsplit(stack.redis_url).path))
        async with Proxy(between / SOCKET, sockets[0]) as postgres, Proxy(between / "valkey.sock", sockets[1]) as redis:
            through = {
                "DOKPLOY_DATABASE_URL": f"postgresql://dokploy@/dokploy?host={quote(str(between))}",
                "DOKPLOY_REDIS_URL": f"unix://{quote(str(redis.listen))}",
            }
            async with gateways(stack, 1, **through, **environment) as (gateway,), browser(gateway) as client:
                yield Site(stack, gateway, postgres, redis, Api(client, await _registered(client, "owner")))
    await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


Request = Callable[[], Awaitable[httpx2.Response]]


@dataclass
class Asked:
    """What became of many requests."""

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers that say neither yes nor, as they should, that the service is unavailable."""

    def count(self, answer: httpx2.Response, seconds: float) -> None:
        self.statuses.append(answer.status_code)
        self.seconds.append(seconds)
        unavailable = answer.status_code == 503 and "SERVICE_UNAVAILABLE" in answer.text and "Retry-After" in answer.headers
        if not (answer.is_success or unavailable):
            self.wrong.append(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")

    def percentile(self, part: float) -> float:
        """The seconds within which so many per cent were answered."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * part / 100))]

    def __str__(self) -> str:
        counted = {status: self.statuses.count(status) for status in sorted(set(self.statuses))}
        fifty, ninety_nine, most = (1000 * seconds for seconds in (self.percentile(50), self.percentile(99), max(self.seconds)))
        return f"{len(self.seconds)} requests {counted}: p50 {fifty:.1f} ms, p99 {ninety_nine:.1f} ms, most {most:.1f} ms"


async def asking(requests: list[Request], enough: Callable[[], bool], callers: int = 4) -> Asked:
    """What becomes of these requests, sent in turn by so many callers at a time until it is enough."""
    found = Asked()

    async def caller(first: int) -> None:
        number = first
        while not enough():
            began = time.monotonic()
            answer = await requests[number % len(requests)]()
            found.count(answer, time.monotonic() - began)
            number += 1
            await asyncio.sleep(0)

    await asyncio.gather(*[caller(number) for number in range(callers)])
    return found
