"""Two gateways that are stopped and started one after the other: nobody's request fails, and no follower misses an event."""

import asyncio
import itertools
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

import models
from gateway.embedded.stack import Stack
from models.bell import wake
from models.database import database
from models.events import Entry, append
from tests.services import gateways
from tests.services.conftest import Api, Person
from tests.services.gateways import Gateway
from tests.services.test_deployments import played
from tests.services.test_websocket import EVENTS, opened, started

pytestmark = pytest.mark.faults

BOTH_SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
KEEPERS, STRANGERS = 6, 2
"""Clients that keep their connections, and clients that make one for each request."""
_names = itertools.count(1)


@pytest.fixture(scope="module")
async def both(stack: Stack) -> AsyncIterator[list[Gateway]]:
    async with gateways.gateways(stack, 2) as running:
        yield running


@pytest.fixture
async def pair(both: list[Gateway]) -> list[Gateway]:
    """Two running gateways, also after a test that ended one."""
    await asyncio.gather(*[each.start() for each in both if each.child.code is not None])
    return both


@dataclass
class Traffic:
    """Requests without a pause, each to whichever of two gateways listens; a connection refused is no request."""

    pair: list[Gateway]
    person: Person
    done: bool = False
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By gateway and status."""
    farewells: int = 0
    """Answers that closed their connection."""
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    async def client(self, *, keeps: bool) -> None:
        """Ask and create in turn until it is done."""
        limits = httpx2.Limits(max_keepalive_connections=None if keeps else 0)
        async with httpx2.AsyncClient(headers=self.person.headers, timeout=15, limits=limits) as client:
            at = 0
            while not self.done:
                at = await self._ask(client, at, "GET", "/users/me")
                at = await self._ask(client, at, "POST", "/projects", {"name": f"Rolling{next(_names)}"})
                await asyncio.sleep(0.01)

    async def _ask(self, client: httpx2.AsyncClient, at: int, method: str, path: str, body: Any = None) -> int:
        """One request. The gateway to begin with the next time."""
        for _ in range(200):
            gateway = self.pair[at]
            try:
                answer = await client.request(method, f"{gateway.url}/api{path}", json=body)
            except httpx2.ConnectError:
                self.refused += 1
                at = 1 - at
                await asyncio.sleep(0.005)
                continue
            except httpx2.TransportError as error:
                self.failed.append(f"{method}: {error!r}")
                return at
            self._count(gateway, answer)
            return at
        self.failed.append("nobody listened")
        return at

    def _count(self, gateway: Gateway, answer: httpx2.Response) -> None:
        self.answered[gateway.name, answer.status_code] += 1
        self.farewells += answer.headers.get("connection") == "close"
        if answer.status_code == 201:
            self.made.append(answer.json()["id"])
        elif answer.status_code != 200:
            self.failed.append(answer.text)


async def rolled(pair: list[Gateway]) -> None:
    """Stop and start each, one after the other."""
    for gateway in pair:
        assert await gateway.end(signal.SIGTERM) == 0
        await gateway.start()


async def test_no_request_fails_while_gateways_are_replaced_one_after_the_other(api: Api, pair: list[Gateway]) -> None:
    traffic = Traffic(pair, api.owner)
    clients = [asyncio.create_task(traffic.client(keeps=number < KEEPERS)) for number in range(KEEPERS + STRANGERS)]
    await asyncio.sleep(0.5)
    await rolled(pair)
    traffic.done = True
    await asyncio.gather(*clients)
    print(f"\n{sum(traffic.answered.values())} requests, {traffic.refused} connections refused, {traffic.farewells} last answers")
    assert traffic.failed == []
    assert traffic.refused, "that a gateway was away was noticed"
    assert traffic.farewells, "kept connections were told to end"
    assert {name for name, _ in traffic.answered} == {gateway.name for gateway in pair}, "each was used while the other was away"
    assert sorted(traffic.made) == sorted(str(row.id) for row in await models.Project.filter(name__startswith="Rolling"))


@dataclass
class Follower:
    """Somebody who follows a deployment over one gateway, and goes on over the other one wherever it ended."""

    pair: list[Gateway]
    deployment: str
    token: str
    events: list[int] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """How each connection ended."""
    over: bool = False

    async def follow(self, over: str) -> list[int]:
        """The sequence numbers to the last event."""
        for gateway in itertools.cycle(self.pair):
            try:
                await (self._subscribe(gateway) if over == "subscription" else self._stream(gateway))
            except ConnectionClosed as closed:
                self.ends.append(str(closed.rcvd.code) if closed.rcvd else "lost")
            except (httpx2.ConnectError, InvalidHandshake, OSError):
                await asyncio.sleep(0.02)
            except httpx2.TransportError:
                self.ends.append("lost")
            if self.over:
                break
        return self.events

    def heard(self, event: dict[str, Any]) -> None:
        self.events.append(event["seq"])
        self.over = event["status"] == "success"

    @property
    def after(self) -> int:
        return self.events[-1] if self.events else 0

    async def _subscribe(self, gateway: Gateway) -> None:
        async with opened(f"{gateway.url.replace('http', 'ws')}/api/graphql", self.token) as socket:
            await socket.subscribe("1", EVENTS, id=self.deployment, after=self.after)
            while (frame := await socket.receive())["type"] == "next":
                self.heard(frame["payload"]["data"]["deploymentEvents"])

    async def _stream(self, gateway: Gateway) -> None:
        headers, params = {"Authorization": f"Bearer {self.token}"}, {"afterSeq": self.after}
        url = f"{gateway.url}/api/deployments/{self.deployment}/events"
        async with httpx2.AsyncClient(timeout=30) as client, client.stream("GET", url, headers=headers, params=params) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.heard(json.loads(line.removeprefix("data: ")))
        self.ends.append("whole")


async def told(deployment: str, rounds: asyncio.Task[None], pause: float = 0.01) -> int:
    """Append lines to a deployment's log until the rounds are over. How many."""
    number = 0
    while not rounds.done():
        number += 1
        await append(database(), UUID(deployment), [Entry(models.EventKind.log, f"line {number}")])
        await wake(UUID(deployment))
        await asyncio.sleep(pause)
    return number


@BOTH_SIGNALS
async def test_a_follower_who_goes_on_elsewhere_gets_every_event_once_and_in_order(
    api: Api, pair: list[Gateway], number: signal.Signals
) -> None:
    deployment = await started(api)

    async def rounds() -> None:
        one, other = pair
        await asyncio.sleep(0.5)
        await one.end(number)
        await one.start()
        await other.end(number)
        await asyncio.sleep(0.5)

    followers = [Follower(pair[::order], deployment, api.owner.token) for order in (1, -1) for _ in range(2)]
    kinds = ["subscription", "stream"] * 2
    following = [asyncio.create_task(each.follow(kind)) for each, kind in zip(followers, kinds, strict=True)]
    lines = await told(deployment, asyncio.create_task(rounds()))
    row = await played(deployment)
    heard = await asyncio.wait_for(asyncio.gather(*following), 15)
    assert lines > 100
    assert heard == [list(range(1, row.last_seq + 1))] * 4
    expected = {"subscription": "1012", "stream": "whole"} if number is signal.SIGTERM else {"subscription": "lost", "stream": "lost"}
    for each, kind in zip(followers, kinds, strict=True):
        assert expected[kind] in each.ends, "it had to go on elsewhere"


async def test_two_hundred_subscribers_of_a_killed_gateway_go_on_at_another_and_miss_nothing(api: Api, pair: list[Gateway]) -> None:
    deployment = await started(api)
    one, _ = pair

    async def killed() -> None:
        while not all(each.events for each in followers):
            await asyncio.sleep(0.05)
        await one.end(signal.SIGKILL)
        while any(len(each.events) < 1 or not each.ends for each in followers):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

    followers = [Follower(pair, deployment, api.owner.token) for _ in range(200)]
    following = [asyncio.create_task(each.follow("subscription")) for each in followers]
    try:
        await told(deployment, asyncio.create_task(killed()), pause=0.05)
        row = await played(deployment)
        heard = await asyncio.wait_for(asyncio.gather(*following), 30)
    finally:
        await one.start()
    assert heard == [list(range(1, row.last_seq + 1))] * 200
    assert all(each.ends == ["lost"] for each in followers), "nobody was cut off more than once"
