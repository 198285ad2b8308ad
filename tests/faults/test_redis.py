"""Redis restarted, emptied, silent: deployments are taken all the same, and go on when it is back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.faults.installation import App, Installation, eventually
from tests.faults.load import Answer, ask, image_apps, quantile, reading, summary

GOES_ON_WITHIN = 10
THREADS = 8
"""Stages that two workers run at a time."""
Tell = Callable[[str], None]
Work = Callable[[], Awaitable[None]]


async def asked_for(installation: Installation, apps: list[App], seconds: float) -> list[Answer]:
    """Two deployments of each application, asked of both gateways and spread over so many seconds."""
    pause = seconds / len(apps) / 2

    async def one(number: int) -> Answer:
        await asyncio.sleep(number * pause)
        return await ask(installation, "POST", f"/applications/{apps[number // 2].id}/deploy", gateway=number % 2, json={})

    return await asyncio.gather(*(one(number) for number in range(2 * len(apps))))


@dataclass(frozen=True)
class Figures:
    """Seconds that 99 of 100 answers may take; on a machine that does other things, too, ten times the promised ones.

    Each application is deployed twice.
    """

    with_redis: float = 1.0
    deploy: float = 3.0
    read: float = 10.0
    applications: int = 20


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    """The promised figures where they are measured in earnest."""
    return Figures(0.1, 0.3, 1.0, 50) if pytestconfig.getoption("--full") else Figures()


async def endures(
    installation: Installation, tell: Tell, figures: Figures, name: str, seconds: float, break_it: Work, mend_it: Work
) -> None:
    """Ask for deployments while Redis is broken: each is taken at once and succeeds, reads do not notice.

    What workers begin meanwhile is held, so that the figures are those of the gateways.
    """
    apps = await image_apps(installation, figures.applications)
    await asked_for(installation, apps[:16], 1)  # opens the connections that the gateways keep
    over = asyncio.Event()
    rule = installation.stand_in.rules.hold("pull")
    reads = asyncio.create_task(reading(installation, f"/applications/{apps[0].id}", over))
    await break_it()
    posted = await asked_for(installation, apps, seconds)
    await mend_it()
    over.set()
    read = await reads
    rule.release()
    ids = [answer.body["deploymentId"] for answer in posted if answer.status == 202]
    waited = await others_begin(installation, ids, time.time())
    tell(f"Redis {name}: POST deploy {summary(posted)}; reads {summary(read)}; {THREADS} more begin after {waited:.1f} s")
    assert [answer.status for answer in posted] == [202] * len(posted)
    assert quantile(posted, 0.99) < figures.deploy
    assert {answer.status for answer in read} == {200}
    assert quantile(read, 0.99) < figures.read
    assert waited <= GOES_ON_WITHIN
    for id in ids:
        await installation.succeeded(id, within=120)


async def others_begin(installation: Installation, ids: list[str], mended: float) -> float:
    """Wait until so many of these deployments have begun as workers can do at a time. Seconds since it was mended."""

    async def look() -> float | None:
        sql = "select started_at from deployment where id = any($1) and started_at > to_timestamp($2) order by started_at limit $3"
        rows = await installation.servers.fetch(sql, ids, mended, THREADS)
        return float(rows[-1]["started_at"].timestamp() - mended) if len(rows) == THREADS else None

    found = await eventually(look, within=60)
    assert found is not None
    return found


async def test_deployments_are_taken_at_once_while_redis_answers(installation: Installation, tell: Tell, figures: Figures) -> None:
    apps = await image_apps(installation, figures.applications)
    rule = installation.stand_in.rules.hold("pull")
    await asked_for(installation, apps[:16], 1)
    await rule.begun(THREADS)  # from here on workers are busy with waiting, and the figure is that of the gateways
    posted = await asked_for(installation, apps, 3)
    rule.release()
    tell(f"Redis up: POST deploy {summary(posted)}")
    assert [answer.status for answer in posted] == [202] * len(posted)
    assert quantile(posted, 0.99) < figures.with_redis
    for answer in posted:
        await installation.succeeded(answer.body["deploymentId"], within=120)


async def test_redis_restarted(installation: Installation, tell: Tell, figures: Figures) -> None:
    async def mend() -> None:
        await installation.servers.valkey_answers()

    await endures(installation, tell, figures, "restarted", 3, installation.servers.restart_valkey, mend)


async def test_redis_away(installation: Installation, tell: Tell, figures: Figures) -> None:
    await endures(installation, tell, figures, "cut off for 5 s", 5, installation.servers.valkey.cut, installation.servers.restore)


async def stalls(installation: Installation, tell: Tell, figures: Figures, seconds: float) -> None:
    async def stall() -> None:
        installation.servers.valkey.stall()

    await endures(installation, tell, figures, f"silent for {seconds:.0f} s", seconds, stall, installation.servers.restore)


async def test_redis_silent(installation: Installation, tell: Tell, figures: Figures) -> None:
    await stalls(installation, tell, figures, 5)


@pytest.mark.full
async def test_redis_silent_for_half_a_minute(installation: Installation, tell: Tell, figures: Figures) -> None:
    await stalls(installation, tell, figures, 30)


async def test_redis_emptied_while_deployments_wait(installation: Installation, tell: Tell) -> None:
    apps = await image_apps(installation, 40)
    rule = installation.stand_in.rules.hold("pull")
    ids = [await installation.deploy(app) for app in apps]
    await rule.begun(THREADS)
    async with installation.servers.redis(1) as queue:
        assert await queue.keys("dramatiq:*")
        await installation.servers.flush()
    rule.release()
    flushed = time.time()

    waited = await others_begin(installation, ids, flushed)
    tell(f"Redis emptied: of {len(ids) - THREADS} that waited {THREADS} begin after {waited:.1f} s")
    assert waited <= GOES_ON_WITHIN
    for id in ids:
        await installation.succeeded(id, within=120)
