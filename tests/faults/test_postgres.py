"""Postgres restarted, connections cut: gateways say so and recover, stages that run meanwhile end as they would have."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from models import StageName
from tests.faults.held import hold
from tests.faults.installation import Installation, eventually, healthy
from tests.faults.load import ask, reading, summary
from tests.faults.source import Source

HEALTHY_WITHIN = 5
LENDERS = 2
"""Of connections in a gateway: for reads alone, and for everything else."""
Tell = Callable[[str], None]
Work = Callable[[], Awaitable[None]]


async def endures(
    installation: Installation,
    source: Source,
    tell: Tell,
    name: str,
    break_it: Callable[[], Awaitable[None]],
    mend_it: Callable[[], Awaitable[None]],
) -> None:
    """Break the database while two deployments build, let one of them end meanwhile, and see both succeed."""
    begun, held = time.time(), [await hold(installation, source, StageName.building) for _ in range(2)]
    over = asyncio.Event()
    reads = asyncio.create_task(reading(installation, f"/applications/{held[0].app.id}", over))
    await asyncio.sleep(0.5)
    await break_it()
    await held[0].release()
    await mend_it()
    mended = time.time()
    recovered = await asyncio.gather(*(_recovered(installation, gateway, mended) for gateway in range(2)))
    over.set()
    answers = await reads
    refused = [answer for answer in answers if answer.status == 503]
    after = ", ".join(f"{each:.1f}" for each in recovered)
    tell(f"Postgres {name}: reads {summary(answers)}, {len(refused)} of them 503; healthy after {after} s")
    assert {answer.status for answer in answers} <= {200, 503}, complaints(installation, begun)
    assert all(answer.retry_after for answer in refused)
    assert max(recovered) <= HEALTHY_WITHIN
    for owner in installation.owners:
        assert (await owner.get(f"/applications/{held[0].app.id}")).status_code == 200
    await held[1].release()
    for each in held:
        row = await installation.succeeded(each.deployment)
        assert (row["attempt"], row["epoch"]) == (1, 1)


def complaints(installation: Installation, since: float) -> list[str]:
    """The ends of what the gateways logged as errors."""
    return [str(told)[-700:] for told in installation.logged(*installation.gateways, since=since) if told["level"] == "error"]


async def _recovered(installation: Installation, gateway: int, mended: float) -> float:
    client = installation.owners[gateway].client
    await eventually(lambda: healthy(client), within=30, every=0.02)
    return time.time() - mended


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_postgres_restarted(number: signal.Signals, installation: Installation, source: Source, tell: Tell) -> None:
    async def restart() -> None:
        await installation.servers.restart_postgres(number)

    async def answers() -> None:
        assert await installation.servers.value("select 1") == 1

    await endures(installation, source, tell, f"restarted by {number.name}", restart, answers)


async def test_connections_cut_for_eight_seconds(installation: Installation, source: Source, tell: Tell) -> None:
    async def mend() -> None:
        for gateway in range(2):
            answer = await installation.owners[gateway].client.get("/api/health")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        await asyncio.sleep(8)
        await installation.servers.restore()

    await endures(installation, source, tell, "cut off for 8 s", installation.servers.postgres.cut, mend)


async def test_a_database_that_is_silent_for_five_seconds(installation: Installation, source: Source, tell: Tell) -> None:
    async def stall() -> None:
        installation.servers.postgres.stall()

    async def mend() -> None:
        await asyncio.sleep(5)
        await installation.servers.restore()

    await endures(installation, source, tell, "silent for 5 s", stall, mend)


async def test_connections_that_have_died_unnoticed_are_given_up(installation: Installation, source: Source, tell: Tell) -> None:
    held = await hold(installation, source, StageName.building)
    await asyncio.gather(*(owner.get(f"/applications/{held.app.id}") for owner in installation.owners))
    died = time.time()
    installation.servers.postgres.forget()
    await held.release()
    row = await installation.succeeded(held.deployment)
    tell(f"Postgres connections died: the build went on after {row['finished_at'].timestamp() - died:.1f} s")
    assert (row["attempt"], row["epoch"]) == (1, 1)
    for gateway in range(2):
        path = f"/applications/{held.app.id}/deploy"
        answers = [await ask(installation, "POST", path, gateway=gateway, json={}) for _ in range(LENDERS + 1)]
        assert {answer.status for answer in answers} <= {202, 503}
        assert answers[-1].status == 202, "each lender of connections costs a request at most"


async def test_a_worker_that_is_started_without_postgres_says_so_and_ends(installation: Installation, source: Source) -> None:
    part = installation.workers[1]
    assert await part.stop() == 0
    await installation.servers.postgres.cut()
    await part.start()
    async with asyncio.timeout(20):
        assert await part.child.wait() == 1
    assert part.lines()[-1].startswith("The worker could not begin: ")
    await installation.servers.postgres.restore()
    app = await installation.app(gitSource=source.git)
    for row in [await installation.succeeded(await installation.deploy(app)) for _ in range(3)]:
        assert row["duration"] <= 2, "nobody else takes what the worker that runs is rung for"
