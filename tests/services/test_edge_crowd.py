"""An edge with very many applications: what one more costs, and what all of them cost while nothing changes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import monotonic
from uuid import UUID, uuid4

import psutil  # type: ignore[import-untyped]
import pytest
from aiohttp import web

import models
from gateway.embedded.children import spawn
from gateway.embedded.stack import Stack
from gateway.embedded.up import free_port
from models import CertificateSource, CertificateStatus
from models.ports import is_free
from tests.services.conftest import Api
from tests.services.gateways import Gateway
from tests.workers.edge.test_agent import Told
from tests.workers.edge.test_serving import HOST, caddy_running
from workers.edge.agent import Agent
from workers.edge.caddy_config import Node
from workers.edge.keeper import Keeper

MANY = 300
WATCHED = 2.0
"""Seconds for which processes are watched; the long form watches fifteen times as long."""
PUSH = 0.5
"""Seconds that a configuration may take, in the long form; five times as much in the short one."""


_ports = iter(range(12_000, 20_000))
"""Below those that the kernel gives to clients."""


@asynccontextmanager
async def engine(socket: Path, applications: list[UUID]) -> AsyncIterator[str]:
    """What an Engine says that runs one container of each application. Its address."""
    tasks = [_task(number, application) for number, application in enumerate(applications)]
    containers = {each["Status"]["ContainerStatus"]["ContainerID"]: {"IPv4Address": "127.0.0.2/16"} for each in tasks}
    answers = {"/version": {"ApiVersion": "1.41"}, "/tasks": tasks, "/networks/docker_gwbridge": {"Containers": containers}}

    async def answer(request: web.Request) -> web.Response:
        found = next((each for path, each in answers.items() if request.path.endswith(path)), None)
        return web.json_response(text=json.dumps(found), status=404 if found is None else 200)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield f"unix://{socket}"
    finally:
        await runner.cleanup()


def _task(number: int, application: UUID) -> dict[str, object]:
    """A task as the Engine API gives it, with about as much beside what is read of it."""
    labels = {"dokploy.application": str(application), "dokploy.deployment": str(uuid4())}
    container = {"ContainerID": f"{number:064x}", "PID": 1000 + number, "ExitCode": 0}
    status = {"Timestamp": "2026-01-01T00:00:00.0Z", "State": "running", "ContainerStatus": container}
    rest = {"Env": [f"VARIABLE_{each}=value" for each in range(20)], "Mounts": [], "Isolation": "default", "Init": True}
    spec = {"ContainerSpec": {"Image": "app:1", "Labels": labels, **rest}, "ForceUpdate": 0}
    return {"ID": f"task{number}", "ServiceID": f"service{number}", "Slot": 1, "DesiredState": "running", "Spec": spec, "Status": status}


async def applications(api: Api, number: int) -> list[tuple[UUID, int]]:
    """So many applications, each with a port and a name of its own."""
    project = await models.Project.get(id=(await api.project())["id"])
    ports = [port for port, _ in zip(filter(is_free, _ports), range(number), strict=False)]
    return [((await _application(project, port)).id, port) for port in ports]


async def taken(keeper: Keeper, port: int) -> float:
    """Seconds from the edge's look at the database until a port that is new there is served."""
    began = monotonic()
    keeping = asyncio.create_task(keeper.keep())
    while await asyncio.to_thread(is_free, port):
        await asyncio.sleep(0.005)
    seconds = monotonic() - began
    assert await keeping
    return seconds


async def _application(project: models.Project, port: int) -> models.Application:
    name = f"app-{uuid4()}"
    ports = [{"container_port": 8080, "published_port": port, "protocol": "tcp"}]
    made = await models.Application.create(
        name=name[:50], project_id=project.id, service_name=name[:63], image="app:1", env_vars={}, ports=ports
    )
    await models.Domain.create(
        application_id=made.id, project_id=project.id, domain=f"{name}.example.com", path="/", certificate=CertificateSource.internal
    )
    return made


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


async def spent(processes: dict[str, int], seconds: float) -> dict[str, float]:
    """Per cent of a core that each process takes for a while."""
    watched = {name: psutil.Process(number) for name, number in processes.items()}
    for process in watched.values():
        process.cpu_percent()
    await asyncio.sleep(seconds)
    return {name: process.cpu_percent() for name, process in watched.items()}


def caddy_of(folder: Path) -> int:
    """The process of the Caddy whose admin API is in a folder."""
    ours = [each for each in psutil.Process().children() if each.name() == "caddy"]
    found = [each for each in ours if str(folder) in each.environ().get("CADDY_ADMIN", "")]
    return int(found[0].pid)


async def test_one_more_application_costs_little_and_none_next_to_nothing(
    api: Api, stack: Stack, short_tmp: Path, tell: Callable[[str], None], *, full: bool
) -> None:
    made = await applications(api, MANY)
    http, https, resolver = (free_port(HOST, 0) for _ in range(3))
    environment = {
        "DOKPLOY_EDGE_PORTS": f"{http}-{https}",
        "DOKPLOY_EDGE_RUNTIME": str(short_tmp),
        "DOKPLOY_EDGE_RESOLVER": f"{HOST}:{resolver}",
        "DOKPLOY_EDGE": "embedded",
    }
    node = Node(f"{HOST}:{resolver}", str(short_tmp / "log.sock"), http, https)
    async with engine(short_tmp / "engine.sock", [each for each, _ in made]) as address, caddy_running(short_tmp) as caddy:
        keeper = Keeper(node, caddy, Agent(Told()))
        first = await taken(keeper, made[-1][1])
        changes = []
        for _ in range(9 if full else 2):
            ((_, port),) = await applications(api, 1)
            changes.append(await taken(keeper, port))
        gateway = Gateway(stack, "gateway-crowd", environment)
        command = stack.command("edge-crowd", [sys.executable, "-m", "workers.edge"], environment | {"DOCKER_HOST": address})
        edge = await spawn(command)
        try:
            await gateway.start()
            await vouched_for(MANY + len(changes))
            processes = {"edge": edge.pid, "gateway": gateway.child.pid, "Caddy": caddy_of(short_tmp)}
            shares = await spent(processes, WATCHED * (15 if full else 1))
        finally:
            await edge.stop()
            await gateway.stop()
    tell(
        f"{MANY} applications with ports and domains: taken in {first:.2f} s, one more in {median(changes):.3f} s (at most "
        f"{max(changes):.3f}); of a core while nothing changes: {', '.join(f'{name} {each:.1f} %' for name, each in shares.items())}"
    )
    assert median(changes) < PUSH * (1 if full else 5)
    assert sum(shares.values()) < 100


async def vouched_for(number: int) -> None:
    """Wait until so many names are served with a certificate."""
    async with asyncio.timeout(120):
        while await models.Domain.filter(certificate_status=CertificateStatus.valid).count() < number:
            await asyncio.sleep(0.2)
