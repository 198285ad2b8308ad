"""Two deployments of one application that race on two workers, over and over: strictly one after the other."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from tests.faults.installation import App, Installation
from tests.faults.source import Source

Tell = Callable[[str], None]
Interval = tuple[float, float]


def overlaps(intervals: Iterable[Interval]) -> list[tuple[Interval, Interval]]:
    """Neighbours of which one begins before the other one has ended."""
    return [(one, other) for one, other in pairwise(sorted(intervals)) if other[0] < one[1]]


async def races(installation: Installation, source: Source, tell: Tell, rounds: int) -> None:
    app = await installation.app(gitSource=source.git)
    ids: list[str] = []
    for _ in range(rounds):
        both = await asyncio.gather(installation.deploy(app, 0), installation.deploy(app, 1))
        ids += both
        for id in both:
            await installation.succeeded(id)
    await _one_after_the_other(installation, app, ids)
    held = {event["message"] for id in ids for event in await installation.events(id)}
    assert "Deployed" in held
    tell(f"race: {rounds} rounds, {len(ids)} deployments, no overlap")


async def _one_after_the_other(installation: Installation, app: App, ids: list[str]) -> None:
    stages: list[Any] = await installation.servers.fetch("select * from stage where deployment_id = any($1)", ids)
    times = [(row["started_at"].timestamp(), row["finished_at"].timestamp()) for row in stages]
    assert len(times) == 3 * len(ids)
    assert overlaps(times) == []
    calls = [call for id in ids for call in installation.stand_in.of("build", deployment=id)]
    calls += installation.stand_in.of("service create", "service update", service=app.service)
    assert len(calls) == 2 * len(ids)
    assert overlaps((call.began, call.ended or 0) for call in calls) == []


def test_an_overlap_is_found() -> None:
    assert overlaps([(3, 4), (1, 2), (2, 3)]) == []
    assert overlaps([(3, 4), (1, 3.5), (5, 6)]) == [((1, 3.5), (3, 4))]


async def test_two_deployments_race_five_times(installation: Installation, source: Source, tell: Tell) -> None:
    await races(installation, source, tell, 5)


@pytest.mark.full
async def test_two_deployments_race_a_hundred_times(installation: Installation, source: Source, tell: Tell) -> None:
    await races(installation, source, tell, 100)
