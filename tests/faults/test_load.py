"""A long line of deployments, and minutes of everything at once: none lost, none doubled, nobody grows."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from statistics import median

import pytest

from tests.faults.installation import App, Installation
from tests.faults.load import ask, at_once, image_apps
from tests.faults.part import Part
from tests.faults.source import Source

Tell = Callable[[str], None]
CHANGES = ("service create", "service update")


async def drains(installation: Installation, tell: Tell, count: int, applications: int) -> None:
    """So many deployments that wait while nobody works, and then two workers."""
    apps = await image_apps(installation, applications)
    for worker in installation.workers:
        assert await worker.stop() == 0
    wanted = [apps[number % applications] for number in range(count)]
    began = time.monotonic()
    ids = await at_once([lambda app=app: installation.deploy(app) for app in wanted], 8)  # type: ignore[misc]
    asked = time.monotonic() - began
    assert len(set(ids)) == count
    await asyncio.gather(*(installation.running(worker) for worker in installation.workers))
    began = time.monotonic()
    await installation.rest(within=60 + 2 * count)
    seconds = time.monotonic() - began
    pace = f"asked for in {asked:.1f} s, drained in {seconds:.1f} s, {count / seconds:.1f}/s"
    tell(f"{count} deployments of {applications} applications: {pace}")
    rows = await installation.servers.fetch("select id, status, worker, attempt from deployment where id = any($1)", ids)
    assert Counter(row["status"] for row in rows) == {"success": count}
    assert Counter(row["attempt"] for row in rows) == {1: count}
    changed = Counter(call.deployment for call in installation.stand_in.of(*CHANGES) if call.deployment in ids)
    assert changed == Counter(ids)
    sql = "select count(*) from event where deployment_id = any($1) and kind = 'status' and status = 'success'"
    assert await installation.servers.value(sql, ids) == count
    kinds = Counter(call.kind for app in apps for call in installation.stand_in.of(*CHANGES, service=app.service))
    assert kinds == {"service create": applications, "service update": count - applications}


async def test_sixty_deployments_that_wait_are_drained(installation: Installation, tell: Tell) -> None:
    await drains(installation, tell, 60, 30)


@pytest.mark.full
async def test_a_thousand_deployments_that_wait_are_drained(installation: Installation, tell: Tell) -> None:
    await drains(installation, tell, 1000, 500)


MINUTES = 5
WARM_UP = 660
"""Seconds after which every connection has come and gone twice: asyncpg ends one, and forgets a statement, after 300.

The second time the allocator takes a step of a megabyte, once; in an hour nothing follows it.
"""
STEP = 5
MOST_GROWTH = 0.01
"""Of the memory, in ten minutes."""
MORE_FILES = 2
"""In the median of the second half: at any one moment there are those of the processes that just run."""


def slope(samples: list[tuple[float, int]]) -> float:
    """By how much of their mean the samples grow in ten minutes, by least squares."""
    mean_at = sum(at for at, _ in samples) / len(samples)
    mean = sum(value for _, value in samples) / len(samples)
    rise = sum((at - mean_at) * (value - mean) for at, value in samples) / sum((at - mean_at) ** 2 for at, _ in samples)
    return rise * 600 / mean


def test_the_slope_of_what_grows_is_found() -> None:
    assert slope([(0, 100), (300, 100), (600, 100)]) == 0
    assert slope([(0, 95), (300, 100), (600, 105)]) == pytest.approx(0.1)


async def busy(installation: Installation, apps: list[App], sources: list[App], ends: float) -> int:
    """Deploy, read and scale, again and again. The number of deployments."""
    for number in itertools.count():
        if time.monotonic() > ends:
            return number
        app = (sources if number % 4 == 0 else apps)[number % len(apps if number % 4 else sources)]
        gateway = number % 2
        answers = await asyncio.gather(
            ask(installation, "GET", f"/applications/{app.id}", gateway=gateway),
            ask(installation, "GET", "/deployments?limit=50", gateway=gateway),
            ask(installation, "POST", f"/applications/{app.id}/deploy", gateway=gateway, json={}),
        )
        assert [answer.status for answer in answers] == [200, 200, 202]
        await installation.ended(answers[2].body["deploymentId"])
    raise AssertionError("counting does not end")


async def sampled(parts: list[Part], ends: float) -> dict[str, list[tuple[float, int, int]]]:
    """Time, memory and open files of each process, every few seconds."""
    samples: dict[str, list[tuple[float, int, int]]] = {f"{part.kind}-{part.number}": [] for part in parts}
    while time.monotonic() < ends:
        for part in parts:
            samples[f"{part.kind}-{part.number}"].append((time.monotonic(), part.memory(), part.files()))
        await asyncio.sleep(STEP)
    return samples


@pytest.mark.full
async def test_minutes_of_load_make_nobody_grow(installation: Installation, source: Source, tell: Tell) -> None:
    apps = await image_apps(installation, 8)
    sources = [await installation.app(gitSource=source.git) for _ in range(4)]
    ends = time.monotonic() + WARM_UP + MINUTES * 60
    load = [asyncio.create_task(busy(installation, apps, sources, ends)) for _ in range(3)]
    await asyncio.sleep(WARM_UP)
    samples = await sampled([*installation.gateways, *installation.workers], ends)
    count = sum(await asyncio.gather(*load))
    slopes = {name: slope([(at, memory) for at, memory, _ in taken]) for name, taken in samples.items()}
    files = {name: [number for _, _, number in taken] for name, taken in samples.items()}
    tell(f"{MINUTES} minutes of load, {count} deployments: " + ", ".join(f"{name} {each:+.2%} in 10 min" for name, each in slopes.items()))
    tell("open files: " + ", ".join(f"{name} {min(each)}–{max(each)}" for name, each in files.items()))
    halves = {name: (median(each[: len(each) // 2]), median(each[len(each) // 2 :])) for name, each in files.items()}
    assert all(after <= before + MORE_FILES for before, after in halves.values()), halves
    assert max(slopes.values()) < MOST_GROWTH
