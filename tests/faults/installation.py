"""An installation that faults can happen to: two gateways and two workers over servers of their own and a stand-in for Docker."""

import asyncio
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from gateway.embedded.children import last_lines, run
from tests.docker.installation import free_port
from tests.faults.engine import StandIn
from tests.faults.engine.tasks import Pace
from tests.faults.part import Part
from tests.faults.servers import Servers, served
from tests.services.conftest import PASSWORD, Person

PACE = Pace(prepare=0.01, start=0.01, healthy=0.05, stop=0.05, monitor=0.3, restart=0.5)
TERMINAL = ("success", "failed", "cancelled")
Found = TypeVar("Found")
_numbers = itertools.count(1)


async def eventually(look: Callable[[], Awaitable[Found]], within: float = 30, every: float = 0.05) -> Found:
    """What `look` finds as soon as it is something. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not (found := await look()):
            await asyncio.sleep(every)
    return found


@dataclass
class App:
    """An application."""

    id: str
    project: str
    service: str


@dataclass
class Installation:
    """What the tests use, look into and break."""

    servers: Servers
    stand_in: StandIn
    gateways: list[Part]
    workers: list[Part]
    owners: list[Person] = field(default_factory=list)
    """The owner, as a client of each gateway."""
    reports: list[str] = field(default_factory=list)
    """What the supervisor of the servers had to say."""

    @property
    def owner(self) -> Person:
        """The owner, at the first gateway."""
        return self.owners[0]

    @property
    def work(self) -> Path:
        """Where the workers keep the work directories."""
        return self.servers.stack.directory.path / "work"

    async def app(self, *, project: str = "", **body: Any) -> App:
        """A new application that publishes no port, in a project of its own when none is given."""
        number = next(_numbers)
        project = project or (await self.owner.made("/projects", {"name": f"Faults{number}"}))["id"]
        made = await self.owner.made("/applications", {"name": f"app-{number}", "projectId": project, "ports": [], **body})
        return App(made["id"], project, made["serviceName"])

    async def deploy(self, app: App, gateway: int = 0, **body: Any) -> str:
        """Ask one of the gateways for a deployment. Its id."""
        return str((await self.owners[gateway].made(f"/applications/{app.id}/deploy", body))["deploymentId"])

    async def row(self, deployment: str) -> dict[str, Any]:
        """A deployment as it is stored."""
        (row,) = await self.servers.fetch("select * from deployment where id = $1", deployment)
        return dict(row)

    async def until(self, deployment: str, *statuses: str, within: float = 30) -> dict[str, Any]:
        """The deployment, once it is in one of these states. Raises TimeoutError."""

        async def look() -> dict[str, Any] | None:
            row = await self.row(deployment)
            return row if row["status"] in statuses else None

        try:
            found = await eventually(look, within)
        except TimeoutError:
            raise AssertionError(f"{deployment} is not {statuses} but {await self.row(deployment)}") from None
        assert found
        return found

    async def ended(self, deployment: str, within: float = 60) -> dict[str, Any]:
        """The deployment, once it has ended."""
        return await self.until(deployment, *TERMINAL, within=within)

    async def succeeded(self, deployment: str, within: float = 60) -> dict[str, Any]:
        """The deployment, which must succeed."""
        row = await self.ended(deployment, within)
        assert row["status"] == "success", (row["error_code"], row["error_message"], row["error_output"], self.complaints(deployment))
        return row

    async def events(self, deployment: str) -> list[dict[str, Any]]:
        """Its events, in order."""
        return [dict(row) for row in await self.servers.fetch("select * from event where deployment_id = $1 order by seq", deployment)]

    def worker_of(self, row: dict[str, Any]) -> Part | None:
        """The worker that holds a deployment."""
        pid = int(str(row["worker"]).split("-")[-2]) if row["worker"] else None
        return next((worker for worker in self.workers if worker.runs and worker.pid == pid), None)

    async def living(self) -> list[dict[str, Any]]:
        """The deployments and the wishes that are still to be carried out."""
        sql = """select 'deployment ' || d.id as what, d.status, d.attempt, d.worker, d.lease_until::text as until, e.at::text, e.message
                 from deployment d left join event e on e.deployment_id = d.id and e.seq = d.last_seq
                 where d.status not in ('success', 'failed', 'cancelled')
                 union all
                 select 'wish of ' || id, status, granted, settler, settle_until::text, null, null
                 from application where wished > granted"""
        return [dict(row) for row in await self.servers.fetch(sql)]

    async def rest(self, within: float = 30) -> None:
        """Wait until no deployment and no wish is left to be carried out. Raises TimeoutError."""

        async def look() -> bool:
            return not await self.living()

        await eventually(look, within, every=0.2)

    def complaints(self, deployment: str) -> list[str]:
        """What the workers logged as errors about a deployment, each cut to its end."""
        lines = [line for worker in self.workers for line in worker.lines() if deployment in line and '"level": "error"' in line]
        return [line[-700:] for line in lines]

    def logged(self, *parts: Part, since: float = 0) -> list[dict[str, Any]]:
        """What these processes, or all workers, have logged as JSON since a `time.time()`."""
        lines = [line for part in parts or self.workers for line in part.lines() if line.startswith("{")]
        told: list[dict[str, Any]] = [json.loads(line) for line in lines]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
        return [each for each in told if each["timestamp"] >= stamp]

    async def whole(self) -> None:
        """Everything runs and nothing is in its way: what a test may count on, and the next one after a failure, too."""
        self.stand_in.rules.clear()
        self.stand_in.swarm.wrong_image = None
        self.stand_in.commands.build_seconds = 0
        if self.stand_in.away:
            await self.stand_in.come_back()
        await self.servers.restore()
        await asyncio.gather(*(self.running(part) for part in [*self.gateways, *self.workers]))

    async def empty(self) -> None:
        """Forget every project and everything that was made of it."""
        await asyncio.gather(*(part.kill() for part in self.workers if part.runs))
        await self.servers.flush()
        await self.servers.fetch("truncate project cascade")
        self.stand_in.forget()
        for left in self.work.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        await self.whole()

    async def running(self, part: Part) -> None:
        """Start a part of it, unless it runs, and wait until it does its work."""
        if part.runs:
            part.thaw()
            return
        before = self._ready(part)
        await part.start()

        async def look() -> bool:
            assert part.runs, last_lines(part.log, 30)
            if part.kind == "worker":
                return self._ready(part) > before
            return await healthy(self.owners[part.number].client)

        await eventually(look)

    def _ready(self, part: Part) -> int:
        return sum('"worker.ready"' in line for line in part.lines())


async def healthy(client: httpx2.AsyncClient) -> bool:
    """Whether a gateway says that it is healthy."""
    try:
        return bool((await client.get("/api/health", timeout=5)).is_success)
    except httpx2.TransportError:
        return False


@asynccontextmanager
async def installed(pace: Pace = PACE, **settings: str) -> AsyncIterator[Installation]:
    """An installation with nobody but its owner, which may clone from loopback; all of it ends with the block."""
    directory, reports = Path(tempfile.mkdtemp(prefix="dk-f-")), list[str]()
    async with AsyncExitStack() as exit_stack:
        exit_stack.callback(shutil.rmtree, directory, ignore_errors=True)
        sockets = directory / "s"
        sockets.mkdir()
        servers = await exit_stack.enter_async_context(served(directory / "data", sockets, reports))
        stand_in = await exit_stack.enter_async_context(StandIn(sockets, pace))
        environment = {**os.environ, **servers.environment, **stand_in.environment, "DOKPLOY_GIT_ALLOWED_HOSTS": "127.0.0.1", **settings}
        logs = servers.stack.directory.logs
        migration = Part("migration", 0, [sys.executable, "-m", "gateway.cli", "migrate"], environment, logs)
        assert await run(migration.command) == 0, migration.lines()
        urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
        ports = [url.rpartition(":")[2] for url in urls]
        argvs = [[sys.executable, "-m", "gateway.cli", "gateway", "--port", port] for port in ports]
        installation = Installation(
            servers,
            stand_in,
            [Part("gateway", number, argv, environment, logs) for number, argv in enumerate(argvs)],
            [Part("worker", number, [sys.executable, "-m", "workers"], environment, logs) for number in range(2)],
            reports=reports,
        )
        for url in urls:
            browser = await exit_stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=30))
            installation.owners.append(Person(browser, "owner"))
        exit_stack.push_async_callback(_stopped, installation)
        await installation.whole()
        await _registered(installation)
        yield installation


async def _registered(installation: Installation) -> None:
    owner = installation.owner
    await owner.made("/auth/register", {"username": "owner", "email": "owner@example.com", "password": PASSWORD})
    token = (await owner.made("/auth/login", {"username": "owner", "password": PASSWORD}))["token"]
    for each in installation.owners:
        each.token = token


async def _stopped(installation: Installation) -> None:
    parts = [part for part in [*installation.gateways, *installation.workers] if part.runs]
    for part in parts:
        part.thaw()
    await asyncio.gather(*(part.stop() for part in parts))
