"""What lasts longer than a moment while a version takes the place of another: slow requests, server-sent events, WebSockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.demo.base_image import BASE_IMAGE
from gateway.demo.load import Tally, loaded
from tests.docker.house import App, House, succeeded
from tests.docker.installation import Installation, eventually
from tests.docker.sample import HEALTHCHECK, Sample

GRACE = 4
"""Seconds that the application is given, and takes all of."""
NOTICE = 3
"""Seconds, at least, from the end of a container's address to its signal, as Swarm has them on overlay networks."""
PROGRAMS = {each.name: each.read_text() for each in sorted((Path(__file__).parent / "lasting").iterdir())}
"""What the application does: two programs of its web server, and one of a port that speaks WebSocket."""
SERVE = "nc -ll -p 8081 -e /www/cgi-bin/socket & httpd -f -p 8080 -h /www"
AT_ONCE = f"{SERVE} & wait"
"""It dies of SIGTERM at once, with everything that it was answering."""
NEVER = f"trap '' TERM; {SERVE}"
"""It has to be killed."""
PORTS = [{"containerPort": 8080, "keepAlive": False}, {"containerPort": 8081}]
"""The web server closes its connections without a word: a POST over one that was kept fails now and then, with no deployment at all."""
pytestmark = pytest.mark.docker
Tell = Callable[[str], None]


def version(number: int, command: str) -> str:
    """The Dockerfile of a version, which says its number to everybody."""
    said = f"RUN chmod +x /www/cgi-bin/* && echo -n version {number} > /www/index.html"
    ends = f"ENV VERSION={number}\n{HEALTHCHECK}\nCMD {json.dumps(['sh', '-c', command])}\n"
    return f"FROM {BASE_IMAGE}\nCOPY . /www/cgi-bin/\n{said}\n{ends}"


async def deployed(house: House, sample: Sample, command: str, **body: object) -> App:
    """An application whose version 1 serves."""
    sample.commit(**PROGRAMS, Dockerfile=version(1, command))
    app = await house.app(gitSource=sample.source, ports=PORTS, **body)
    await app.deployed()
    assert await app.page() == "version 1"
    return app


async def followed(said: AsyncIterator[str], begun: asyncio.Event) -> tuple[set[str], float]:
    """What a stream says to its end, and when it ends."""
    heard = set()
    async for each in said:
        heard.add(each)
        begun.set()
    return heard, monotonic()


async def events(port: int) -> AsyncIterator[str]:
    async with httpx2.AsyncClient(timeout=5) as client, client.stream("GET", f"http://127.0.0.1:{port}/cgi-bin/events") as answer:
        try:
            async for line in answer.aiter_lines():
                if line:
                    yield line.removeprefix("data: ")
        except httpx2.TransportError:
            return


async def frames(port: int) -> AsyncIterator[str]:
    async with connect(f"ws://127.0.0.1:{port}") as socket:
        try:
            async for frame in socket:
                yield str(frame)
        except ConnectionClosed:
            return


@asynccontextmanager
async def following(*streams: AsyncIterator[str]) -> AsyncIterator[list[asyncio.Task[tuple[set[str], float]]]]:
    """Follow streams, from when each has begun."""
    begun = [asyncio.Event() for _ in streams]
    tasks = [asyncio.create_task(followed(*each)) for each in zip(streams, begun, strict=True)]
    async with asyncio.timeout(10):
        await asyncio.gather(*(each.wait() for each in begun))
    yield tasks
    await asyncio.gather(*tasks)


async def _has(tally: Tally, answer: str) -> bool:
    return answer in tally.answers


async def test_requests_of_a_second_are_answered_by_containers_that_die_at_once(
    house: House, sample: Sample, installation: Installation, tell: Tell
) -> None:
    app = await deployed(house, sample, AT_ONCE, replicas=2)
    sample.commit(Dockerfile=version(2, AT_ONCE))
    async with loaded(app.ports[0], 8, path="/cgi-bin/slow") as tally:
        succeeded(await installation.ended(await app.deploy()))
        await asyncio.sleep(NOTICE)
    tell(f"requests of 1.2 s, containers that die at once: {tally}")
    assert not tally.failures, str(tally)
    assert set(tally.answers) == {"version 1", "version 2"}


async def test_streams_are_given_the_applications_grace_and_end_then(
    house: House, sample: Sample, installation: Installation, tell: Tell
) -> None:
    app = await deployed(house, sample, NEVER, replicas=1, stopGracePeriod=GRACE)
    sample.commit(Dockerfile=version(2, NEVER))
    web, socket = app.ports
    async with following(events(web), frames(socket)) as streams:
        deployment = await app.deploy()
        async with loaded(web, 1, posting=False) as tally:
            await eventually(lambda: _has(tally, "version 2"), every=0.01)
        live = monotonic()
        succeeded(await installation.ended(deployment))
        async with following(events(web), frames(socket)) as later:
            ended = [await each for each in streams]
            assert [heard for heard, _ in ended] == [{"version 1"}, {"version 1"}], "each stream stays with its version"
            assert not [each for each in later if each.done()]
            await app.delete()
    tell(f"events and a WebSocket went on for {', '.join(f'{at - live:.1f} s' for _, at in ended)} beside the new version")
    assert all(GRACE < at - live < GRACE + 4 * NOTICE for _, at in ended)
    assert [heard for heard, _ in [await each for each in later]] == [{"version 2"}, {"version 2"}]
