"""Redis is gone, or falls silent: nobody who deploys or reads notices, and nothing piles up in the gateway."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from redis.asyncio import Redis

from models import bell, valkey
from models.settings import settings
from tests.services.conftest import PASSWORD, Person
from tests.services.outages import Request, Site, site
from tests.services.test_websocket import EVENTS, opened

pytestmark = pytest.mark.faults

READS = 1.0
"""Seconds within which reads are answered."""
MOST_DESCRIPTORS, MOST_THREADS = 64, 48
"""More than the gateway had: what its pools may hold at most, whatever is asked of it."""
RECOVERY = 10.0
"""Seconds after which the queue is found again."""
LIMITS = '{"authenticated": {"limit": 100000, "burst": 100000}, "anonymous": {"limit": 100000, "burst": 100000}}'
OUTAGES = pytest.mark.parametrize("outage", ["down", "stalled"])


@pytest.fixture(scope="module")
async def installation(stack: object) -> AsyncIterator[Site]:
    async with site(DOKPLOY_RATE_LIMITS=LIMITS) as found:
        yield found


@pytest.fixture
async def place(installation: Site) -> AsyncIterator[Site]:
    """The installation, with Redis before and after the test."""
    yield installation
    await installation.redis.cut()
    await installation.redis.restore()
    await eventually_well(installation)


async def eventually_well(place: Site) -> None:
    """Wait until the gateway reaches Redis, for health and for rate limits."""
    async with asyncio.timeout(RECOVERY):
        while (await health(place))["queue"] != "ok" or (await login(place)).status_code != 200:
            await asyncio.sleep(0.1)


async def health(place: Site) -> dict[str, Any]:
    answer = await place.api.client.get("/api/health")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def login(place: Site) -> httpx2.Response:
    return await place.api.client.post("/api/auth/login", json={"username": "owner", "password": PASSWORD})


async def goes(place: Site, outage: str) -> None:
    """Let Redis go away."""
    if outage == "down":
        await place.redis.cut()
    else:
        place.redis.stall()


async def deploying(place: Site) -> Request:
    """A request that deploys an application."""
    path, headers = f"/api/applications/{(await place.api.application())['id']}/deploy", place.api.owner.headers
    return lambda: place.api.client.post(path, headers=headers)


@OUTAGES
async def test_whoever_is_logged_in_passes_uncounted_and_nobody_else_does(place: Site, outage: str) -> None:
    known = place.api.owner.headers
    counted = await place.api.client.get("/api/users/me", headers=known)
    assert "X-RateLimit-Limit" in counted.headers
    await goes(place, outage)
    for _ in range(20):
        answer = await place.api.client.get("/api/users/me", headers=known)
        assert (answer.status_code, "X-RateLimit-Limit" in answer.headers) == (200, False)
        refused = await login(place)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert refused.headers["Retry-After"]
    await place.redis.cut()
    await place.redis.restore()
    await eventually_well(place)
    async with asyncio.timeout(RECOVERY):
        while "X-RateLimit-Limit" not in (await place.api.client.get("/api/users/me", headers=known)).headers:
            await asyncio.sleep(0.1)


async def test_nothing_piles_up_while_redis_says_nothing(place: Site) -> None:
    deploy = await deploying(place)
    assert (await deploy()).status_code == 202
    before, threads = place.gateway.descriptors, place.gateway.threads
    place.redis.stall()
    for _ in range(2):
        answers = await asyncio.gather(*[deploy() for _ in range(100)])
        assert {answer.status_code for answer in answers} == {202}
    after, more = place.gateway.descriptors, place.gateway.threads
    clients = len(answers)
    print(f"\n{before} descriptors and {threads} threads before, {after} and {more} after 200 deployments over {clients} connections")
    assert place.redis.open_connections, "it was asked all the same"
    assert after - clients < before + MOST_DESCRIPTORS
    assert more < threads + MOST_THREADS


async def test_events_are_followed_while_redis_says_nothing(place: Site) -> None:
    place.redis.stall()
    deployment = (await (await deploying(place))()).json()["deploymentId"]
    async with opened(f"{place.gateway.url.replace('http', 'ws')}/api/graphql", place.api.owner.token) as socket:
        await socket.subscribe("1", EVENTS, id=deployment)
        assert (await socket.receive())["payload"]["data"]["deploymentEvents"]["seq"] == 1


async def test_a_password_is_changed_while_redis_says_nothing(place: Site) -> None:
    person: Person = await place.api.person()
    place.redis.stall()
    deploy = await deploying(place)
    await asyncio.gather(*[deploy() for _ in range(100)])
    began = time.monotonic()
    answer = await person.patch("/users/me", {"password": os.urandom(12).hex(), "currentPassword": PASSWORD})
    print(f"\nchanged after {time.monotonic() - began:.2f} s")
    assert answer.status_code == 200
    assert time.monotonic() - began < READS


async def test_a_gateway_stops_in_time_while_redis_says_nothing(place: Site) -> None:
    place.redis.stall()
    deploy = await deploying(place)
    answers = await asyncio.gather(*[deploy() for _ in range(100)])
    assert {answer.status_code for answer in answers} == {202}
    assert await place.gateway.stop() == 0, "and was not killed"
    await place.gateway.start()


async def test_waking_many_takes_few_connections(stack: object) -> None:
    async with Redis.from_url(settings().redis_url) as client:

        async def counted() -> tuple[int, int]:
            received = (await client.info("stats"))["total_connections_received"]
            return received, (await client.info("commandstats")).get("cmdstat_publish", {"calls": 0})["calls"]

        connections, published = await counted()
        await asyncio.gather(*[bell.wake(uuid4()) for _ in range(200)])
        more, calls = await counted()
    assert calls - published == 200
    assert more - connections <= valkey.MOST_CONNECTIONS
