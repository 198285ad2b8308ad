"""Requests while something is wrong: what they answered, and how long that took."""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2

from tests.faults.engine.stock import Image
from tests.faults.installation import App, Installation

Result = TypeVar("Result")
HEALTH = {"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000, "Timeout": 1_000_000_000, "Retries": 1, "StartPeriod": 0}
IMAGE = "sample:1"


@dataclass(frozen=True)
class Answer:
    """One answer; `at` is a `time.time()`, and status 0 says that the connection broke."""

    at: float
    seconds: float
    status: int
    retry_after: str | None
    body: Any = field(repr=False, default=None)


async def ask(installation: Installation, method: str, path: str, *, gateway: int = 0, timeout: float = 30, json: Any = None) -> Answer:
    """One request of the owner, timed."""
    owner = installation.owners[gateway]
    at, began = time.time(), time.monotonic()
    try:
        answer = await owner.client.request(method, f"/api{path}", headers=owner.headers, json=json, timeout=timeout)
    except httpx2.TransportError:
        return Answer(at, time.monotonic() - began, 0, None)
    seconds = time.monotonic() - began
    return Answer(at, seconds, answer.status_code, answer.headers.get("Retry-After"), answer.json() if answer.content else None)


async def reading(installation: Installation, path: str, over: asyncio.Event, pause: float = 0.02) -> list[Answer]:
    """The answers of both gateways in turn to a GET that is sent again and again."""
    answers: list[Answer] = []
    for gateway in itertools.cycle(range(2)):
        if over.is_set():
            return answers
        answers.append(await ask(installation, "GET", path, gateway=gateway))
        await asyncio.sleep(pause)
    raise AssertionError("cycles do not end")


async def at_once(work: Iterable[Callable[[], Awaitable[Result]]], limit: int) -> list[Result]:
    """All results, so many at a time."""
    room = asyncio.Semaphore(limit)

    async def one(each: Callable[[], Awaitable[Result]]) -> Result:
        async with room:
            return await each()

    return await asyncio.gather(*(one(each) for each in work))


async def image_apps(installation: Installation, count: int) -> list[App]:
    """Applications that run an image, in one project: their deployments have one short stage."""
    installation.stand_in.stock.registry[IMAGE] = Image({IMAGE}, {}, HEALTH)
    first = await installation.app(image=IMAGE)
    more = await at_once([lambda: installation.app(project=first.project, image=IMAGE)] * (count - 1), 8)
    return [first, *more]


def quantile(answers: Sequence[Answer], share: float) -> float:
    """The seconds that so large a share of the answers took at most."""
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[min(len(seconds) - 1, math.ceil(share * len(seconds)) - 1)]


def summary(answers: Sequence[Answer]) -> str:
    """Number, median and p99."""
    return f"{len(answers)}, median {quantile(answers, 0.5) * 1000:.0f} ms, p99 {quantile(answers, 0.99) * 1000:.0f} ms"
