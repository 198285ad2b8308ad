"""The edge in front of real containers: no request is lost, whatever becomes of those (EDGE.md's table, in its short form)."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from gateway.demo.load import Tally, loaded
from models.ports import is_free
from tests.docker.house import App, House, succeeded
from tests.docker.installation import Installation, eventually
from tests.docker.sample import HEALTHCHECK, Sample, version
from tests.docker.sample import served as repository

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("serving")]
Tell = Callable[[str], None]


@dataclass
class Served:
    """An application with two replicas, its repository, and the version that serves."""

    app: App
    sample: Sample
    number: int = 1

    @property
    def port(self) -> int:
        return self.app.ports[0]

    @property
    def says(self) -> str:
        """What everybody is answered."""
        return f"version {self.number}"

    async def containers(self) -> list[str]:
        return [task.container_id for task in await self.app.running() if task.container_id]

    async def next(self) -> None:
        """Deploy the version that comes next."""
        self.sample.commit(Dockerfile=version(self.number + 1))
        succeeded(await self.app.installation.ended(await self.app.deploy()))
        self.number += 1

    async def fail(self) -> None:
        """Deploy a version that is not well."""
        self.sample.commit(Dockerfile=version(0, HEALTHCHECK.rpartition(" CMD ")[0] + " CMD false"))
        failed = await self.app.installation.ended(await self.app.deploy())
        assert failed["error"]["code"] == "HEALTH_CHECK_FAILED"

    async def scale(self, replicas: int) -> None:
        """Have so many containers."""
        await self.app.post("scale", {"replicas": replicas})

        async def scaled() -> bool:
            return len(await self.app.running()) == replicas

        await eventually(scaled, within=60)


@pytest.fixture(scope="module")
async def application(installation: Installation, serving: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One application for all tests that leave it as it was, or newer."""
    house = House(installation, "edge")
    async with repository(tmp_path_factory.mktemp("edge")) as sample:
        sample.commit(Dockerfile=version(1))
        app = await house.app(gitSource=sample.source, replicas=2)
        await app.deployed()
        assert await app.page() == "version 1"
        yield Served(app, sample)
        await house.leave()
        await house.empty()


@pytest.fixture
async def served(application: Served) -> Served:
    """The application with both of its containers."""

    async def whole() -> bool:
        return len(await application.app.running()) == 2

    await eventually(whole)
    return application


def whole(tally: Tally, *answers: str) -> None:
    """Nothing failed, and every one of these has answered."""
    assert not tally.failures, str(tally)
    assert set(tally.answers) == set(answers), str(tally)
    assert tally.requests > 500, str(tally)


async def test_no_request_is_lost_while_a_version_takes_the_place_of_another(served: Served, tell: Tell) -> None:
    before, after = served.says, f"version {served.number + 1}"
    old = {task.id for task in await served.app.running()}
    async with loaded(served.port) as tally:
        updating = asyncio.create_task(served.next())
        while after not in tally.answers and not updating.done():
            await asyncio.sleep(0.01)
        now = time.time()
        seconds = now - min(task.timestamp.timestamp() for task in await served.app.running() if task.id not in old)
        await updating
        await asyncio.sleep(1)
    tell(f"rolling update of 2 replicas: {tally}; from a healthy task to the first answer of it {seconds:.2f} s")
    whole(tally, before, after)
    assert seconds < 3


async def test_no_request_is_lost_when_a_version_is_bad_and_goes_away_again(served: Served, tell: Tell) -> None:
    async with loaded(served.port) as tally:
        await served.fail()
        await asyncio.sleep(1)
    tell(f"a bad version and its rollback: {tally}")
    whole(tally, served.says)


async def test_no_request_is_lost_while_it_is_scaled(served: Served, tell: Tell) -> None:
    async with loaded(served.port) as tally:
        for replicas in (4, 1, 2):
            await served.scale(replicas)
            await asyncio.sleep(1)
        await asyncio.sleep(3)
    tell(f"scaled 2, 4, 1, 2: {tally}")
    whole(tally, served.says)


async def test_no_request_is_lost_while_it_is_restarted(served: Served, tell: Tell) -> None:
    before = set(await served.containers())
    async with loaded(served.port) as tally:
        await served.app.post("restart")

        async def replaced() -> bool:
            return len(now := set(await served.containers())) == 2 and not now & before

        await eventually(replaced, within=60)
        await asyncio.sleep(4)
    tell(f"restarted: {tally}")
    whole(tally, served.says)


async def test_no_request_is_lost_when_a_replica_freezes(served: Served, installation: Installation, tell: Tell) -> None:
    frozen = (await served.containers())[0]
    async with loaded(served.port) as tally:
        await asyncio.sleep(1)
        await installation.command("pause", frozen)
        await asyncio.sleep(6)
        await installation.command("unpause", frozen)
        await asyncio.sleep(1)
    tell(f"a replica frozen for 6 s: {tally}")
    whole(tally, served.says)
    assert tally.slowest > 1, "some requests have met the frozen one"


async def test_a_replica_that_is_killed_takes_no_more_than_what_it_was_answering(
    served: Served, installation: Installation, tell: Tell
) -> None:
    killed = (await served.containers())[0]
    async with loaded(served.port) as tally:
        await asyncio.sleep(1)
        await installation.command("kill", killed)
        await asyncio.sleep(4)
    tell(f"a replica killed: {tally}")
    assert set(tally.answers) == {served.says}
    assert tally.failures.total() <= 24, str(tally)
    assert set(tally.failures) <= {"502"}, str(tally)


async def test_no_request_is_lost_when_the_edges_process_dies_and_is_started_again(
    served: Served, installation: Installation, tell: Tell
) -> None:
    async with loaded(served.port) as tally:
        await asyncio.sleep(0.5)
        os.kill(installation.edges[-1].pid, signal.SIGKILL)
        await installation.start_edge()
        await asyncio.sleep(5)
    tell(f"the edge's process killed: {tally}")
    whole(tally, served.says)


async def test_what_was_published_on_the_host_moves_behind_the_edge_with_its_next_deployment(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source)
    await app.deployed()
    await installation.database.execute("update deployment set ports = null where application_id = $1", app.id)

    await eventually(lambda: asyncio.to_thread(is_free, app.ports[0]))
    on_the_host = ["--update-order", "stop-first", "--publish-add", f"mode=host,published={app.ports[0]},target=8080"]
    await installation.command("service", "update", "--quiet", *on_the_host, app.service_name)
    assert await app.page() == "version 1"
    sample.commit(index="version 2")
    await app.deployed()
    assert ((await app.service() or {})["Endpoint"]).get("Ports") is None

    assert await app.page() == "version 2"


async def test_what_cannot_pass_the_edge_stops_first_and_loses_requests(house: House, sample: Sample, tell: Tell) -> None:
    sample.commit(Dockerfile=version(1))
    app = await house.app(gitSource=sample.source, ports=[{"containerPort": 8080, "protocol": "tcp-raw"}])
    await app.deployed()
    sample.commit(Dockerfile=version(2))
    async with loaded(app.ports[0]) as tally:
        deployed = await app.deployed()
        await asyncio.sleep(0.5)
    tell(f"control, a port on the host: {tally}")
    assert tally.failures
    assert set(tally.answers) == {"version 1", "version 2"}
    said = " ".join(line["message"] for line in await house.installation.logs(deployed["id"]))
    assert "cannot pass the edge" in said


@pytest.mark.full
async def test_no_request_is_lost_in_a_day_of_an_application(served: Served, tell: Tell) -> None:
    """Everything one after the other, with wrk beside the people."""
    versions = {served.says}
    async with loaded(served.port) as tally, beside(served.port) as wrk:
        for _ in range(3):
            await served.next()
            versions.add(served.says)
        for replicas in (1, 5, 2):
            await served.scale(replicas)
        await served.fail()
        await served.app.post("restart")
        await asyncio.sleep(20)
    tell(f"a day of an application: {tally}; wrk: {' '.join(wrk[-1].split())}")
    whole(tally, *versions)
    assert tally.requests > 50_000
    assert "requests in" in wrk[-1]
    assert not [word for word in ("Non-2xx", "Socket errors") if word in wrk[-1]], wrk[-1]


@asynccontextmanager
async def beside(port: int) -> AsyncIterator[list[str]]:
    """wrk for as long as the block lasts; what it says is there afterwards."""
    said: list[str] = []
    argv = ["wrk", "--threads", "1", "--connections", "8", "--duration", "10m", f"http://127.0.0.1:{port}/"]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        said.append((await process.communicate())[0].decode())
