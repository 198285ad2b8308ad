"""Documents that mean harm, against a gateway in a process of its own: each is answered or refused, and hardly costs anything."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx2
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.embedded.stack import Stack
from tests.services.conftest import Api, Person
from tests.services.gateways import Gateway, browser, gateways
from tests.services.hostile import Hostile, corpus, fragments_that_differ

PLAIN = '{"query": "{applications(first: 20) {nodes {id name status}}} # %s"}'
"""What somebody asks who means well; each time another text, so that it is read anew."""
MOST_TIMES = 100
"""As much of the processor as so many plain documents any other may take."""
MOST_SECONDS = 5.0
GROWTH = 8 * 2**20
"""Bytes by which the memory may grow while everything is sent for the third time."""
WITHOUT = '{"fields": 100000, "fragments": 10000, "aliases": 10000, "directives": 10000, "tokens": 100000, "length": 1000000}'


@dataclass
class Target:
    """A gateway, and somebody who is logged in."""

    gateway: Gateway
    person: Person
    taken: dict[str, float] = field(default_factory=dict)
    """Processor seconds, by what was sent."""

    @property
    def processor(self) -> float:
        """Seconds that the process has run."""
        tasks = Path(f"/proc/{self.gateway.child.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.gateway.child.pid).memory_info().rss)

    async def post(self, body: bytes) -> httpx2.Response:
        headers = self.person.headers | {"Content-Type": "application/json"}
        return await self.person.client.post("/api/graphql", content=body, headers=headers, timeout=60)

    async def plain(self) -> float:
        """Processor seconds that a plain document takes, in the median."""
        taken = []
        for number in range(15):
            before = self.processor
            assert (await self.post((PLAIN % f"{number} {time.monotonic()}").encode())).status_code == 200
            taken.append(self.processor - before)
        return median(taken)

    @contextmanager
    def measured(self, each: Hostile) -> Iterator[None]:
        """Take note of what is taken to answer one of them."""
        before = self.processor
        yield
        self.taken[each.name] = self.processor - before


@pytest.fixture
async def target(api: Api, stack: Stack) -> AsyncIterator[Target]:
    """A gateway with some rows to read."""
    project = await api.project()
    for _ in range(20):
        await api.application(project)
    async with gateways(stack, 1) as (gateway,), browser(gateway) as client:
        yield Target(gateway, Person(client, "owner", token=api.owner.token))


async def bystander(target: Target, over: asyncio.Event) -> list[float]:
    """Somebody else who reads meanwhile: seconds for each answer."""
    waited = []
    async with browser(target.gateway) as client:
        while not over.is_set():
            began = time.monotonic()
            answer = await client.get("/api/applications", headers=target.person.headers)
            assert answer.status_code == 200
            waited.append(time.monotonic() - began)
            await asyncio.sleep(0.01)
    return waited


def told(target: Target, plain: float) -> str:
    """What took most."""
    most = sorted(target.taken.items(), key=lambda each: -each[1])[:5]
    return f"a plain document {plain * 1000:.1f} ms; " + ", ".join(f"{name} {taken / plain:.0f} times" for name, taken in most)


Send = Callable[[Target, Hostile], Awaitable[str]]
"""Sends one of them, measured, and says what came of it."""


async def borne(target: Target, send: Send, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What comes of each, by name. It costs little, the memory does not grow, and others are served meanwhile."""
    plain, documents, over = await target.plain(), corpus(), asyncio.Event()
    assert len({each.name for each in documents}) >= 100
    others = asyncio.create_task(bystander(target, over))
    ends = {each.name: await send(target, each) for each in documents}
    for each in documents:
        await send(target, each)
    memory = target.memory
    for each in documents:
        await send(target, each)
    grown = target.memory - memory
    over.set()
    waited = await others
    harmless = f"others waited {max(waited):.2f} s at most, memory {grown / 2**20:+.1f} MiB"
    with capsys.disabled():
        sys.stderr.write(f"\n  {len(documents)} hostile documents: {told(target, plain)}; {harmless}")
    assert max(target.taken.values()) < MOST_TIMES * plain
    assert max(waited) < MOST_SECONDS
    assert grown < GROWTH
    return ends


async def posted(target: Target, each: Hostile) -> str:
    """The status that it is answered with."""
    with target.measured(each):
        answer = await target.post(each.body)
    return str(answer.status_code)


async def test_none_of_them_does_harm_over_http(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    ends = await borne(target, posted, capsys)
    assert {name: end for name, end in ends.items() if end not in ("200", "400", "413")} == {}


async def framed(target: Target, each: Hostile) -> str:
    """What a socket of its own says to it."""
    url = f"{target.gateway.url.replace('http', 'ws', 1)}/api/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "connection_init", "payload": target.person.headers}))
        await socket.recv()
        with target.measured(each):
            return await answered(socket, each)


async def answered(socket: ClientConnection, each: Hostile) -> str:
    """What a socket says to it: a message, or the code that it is closed with."""
    try:
        await socket.send(each.frame.decode(errors="surrogateescape") if each.raw is None else each.frame, text=True)
        while (frame := str(await asyncio.wait_for(socket.recv(), 30))).startswith('{"type":"ping"'):
            pass
        return frame.partition('"type":"')[2].partition('"')[0]
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else "gone")


async def test_none_of_them_does_harm_over_a_socket(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    ends = await borne(target, framed, capsys)
    assert {name: end for name, end in ends.items() if end not in ("next", "error", "4400", "1007", "1009")} == {}


async def test_without_limits_one_of_them_would_do_harm(api: Api, stack: Stack) -> None:
    async with gateways(stack, 1, DOKPLOY_GRAPHQL_LIMITS=WITHOUT) as (gateway,), browser(gateway) as client:
        target = Target(gateway, Person(client, "owner", token=api.owner.token))
        plain = await target.plain()
        harmful = fragments_that_differ(500)
        assert await posted(target, harmful) == "200"
        assert target.taken[harmful.name] > MOST_TIMES * plain
