"""An installation as it runs in earnest: a gateway and a worker as processes of their own, over the embedded Postgres and Valkey."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx2

from gateway.demo.base_image import ensure_base_image
from gateway.demo.client import Client as EventsClient
from gateway.embedded.children import Child, last_lines, spawn
from gateway.embedded.engine import address, ensure_swarm
from gateway.embedded.engine_remains import Home
from gateway.embedded.stack import Stack
from gateway.embedded.up import edge_environment
from models.database import own_connection
from tests.services.conftest import PASSWORD, Person
from workers import docker, processes
from workers.engine import Engine

USERNAME = "owner"
KEPT_IMAGES = 3
Found = TypeVar("Found")


async def eventually(look: Callable[[], Awaitable[Found]], within: float = 30, every: float = 0.1) -> Found:
    """What `look` finds as soon as it is something. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not (found := await look()):
            await asyncio.sleep(every)
    return found


@dataclass
class Installation:
    """What the tests use and look into."""

    stack: Stack
    environment: dict[str, str]
    url: str
    engine: Engine
    docker: docker.Client
    base_image: str
    owner: Person
    watcher: EventsClient
    database: asyncpg.Connection
    gateway: Child
    workers: list[Child] = field(default_factory=list)
    edges: list[Child] = field(default_factory=list)
    spares: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By type, databases that the next test may have: what the API answered when they were made."""

    @property
    def work(self) -> Path:
        """Where the workers keep the work directories."""
        return self.stack.directory.path / "work"

    def log(self, name: str) -> Path:
        """The log of one of our processes."""
        return self.stack.directory.logs / f"{name}.log"

    def unexpected(self) -> list[str]:
        """What the workers logged as errors of their own, which a deployment that fails is not."""
        logs = [self.log(f"worker-{number}").read_text().splitlines() for number in range(len(self.workers))]
        return [line for log in logs for line in log if '"level": "error"' in line or line.startswith(("ERROR", "CRITICAL", "Traceback"))]

    @asynccontextmanager
    async def second_gateway(self, **environment: str) -> AsyncIterator[Person]:
        """The owner at one more gateway, whose settings are other ones."""
        url = f"http://127.0.0.1:{free_port()}"
        gateway = await _gateway(self.stack, self.environment | environment, url, "gateway-2")
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=30) as browser:
                await _answering(browser, gateway)
                yield replace(self.owner, client=browser)
        finally:
            await gateway.stop()

    async def start_worker(self, **environment: str) -> Child:
        """One more worker process."""
        name = f"worker-{len(self.workers)}"
        command = self.stack.command(name, [sys.executable, "-m", "workers"], self.environment | environment, grace=30)
        child = await spawn(replace(command, output=self.log(name)))
        self.workers.append(child)
        return child

    @asynccontextmanager
    async def monitor(self, name: str = "monitor") -> AsyncIterator[None]:
        """The monitor's process, for as long as the block lasts; its log is that of the name."""
        command = self.stack.command(name, [sys.executable, "-m", "workers.monitor"], self.environment)
        child = await spawn(replace(command, output=self.log(name)))
        yield
        assert await child.stop() == 0

    async def start_edge(self, **environment: str) -> Child:
        """The edge's process, beside the Caddy that runs unless the environment says otherwise."""
        name = f"edge-{len(self.edges)}"
        command = self.stack.command(name, [sys.executable, "-m", "workers.edge"], self.environment | environment)
        child = await spawn(replace(command, output=self.log(name)))
        self.edges.append(child)
        return child

    async def command(self, *argv: str) -> list[str]:
        """What the docker command line prints for somebody who uses it by hand."""
        done = await processes.run([self.docker.path, *argv], env=docker.environment(), deadline=60, capture=1 << 20)
        assert done.returncode == 0, done.tail
        return done.stdout.decode().split()

    async def follow(self, deployment: str, within: float = 60) -> list[dict[str, Any]]:
        """The events of a deployment to its last."""
        return await self._heard(deployment, lambda event: False, within)

    async def until(self, deployment: str, matches: Callable[[dict[str, Any]], bool], within: float = 60) -> None:
        """Wait for an event of a deployment."""
        events = await self._heard(deployment, matches, within)
        assert matches(events[-1]), [event["message"] for event in events[-5:]]

    async def _heard(self, deployment: str, enough: Callable[[dict[str, Any]], bool], within: float) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(within):
                async for event in self.watcher.follow(deployment):
                    events.append(event)
                    if enough(event):
                        break
        except TimeoutError:
            raise AssertionError(f"still waiting after {[event['message'] for event in events[-5:]]}") from None
        return events

    async def ended(self, deployment: str, within: float = 60) -> dict[str, Any]:
        """The deployment, once it has ended."""
        await self.follow(deployment, within)
        shown: dict[str, Any] = (await self.owner.get(f"/deployments/{deployment}")).json()
        return shown

    async def logs(self, deployment: str) -> list[dict[str, Any]]:
        """The lines of a deployment's log."""
        answer = await self.owner.get(f"/deployments/{deployment}/logs", params={"limit": 10_000})
        lines: list[dict[str, Any]] = answer.json()["logs"]
        return lines


@asynccontextmanager
async def installed(stack: Stack) -> AsyncIterator[Installation]:
    """An installation with nobody but its owner, which may clone from loopback; all of its processes end with the block."""
    first = 20_000 + os.getpid() % 100 * 100  # below the ports that the kernel gives to clients, and apart from other runs
    environment = {
        "DOKPLOY_GIT_ALLOWED_HOSTS": "127.0.0.1",
        "DOKPLOY_NOTIFICATION_ALLOWED_HOSTS": "127.0.0.1",
        "DOKPLOY_PORT_RANGE": f"{first}-{first + 99}",
        "DOKPLOY_KEEP_IMAGES": str(KEPT_IMAGES),
        "DOKPLOY_DATABASE_IMAGES": json.dumps(
            {
                "postgresql": "dokploy-test/postgres",
                "mysql": "dokploy-test/mysql",
                "mongodb": "dokploy-test/mongo",
                "redis": "dokploy-test/redis",
            }
        ),
        "DOKPLOY_EDGE_PORTS": f"{free_port()}-{free_port()}",
    }
    async with AsyncExitStack() as exit_stack:
        database = await exit_stack.enter_async_context(own_connection())
        await database.execute("truncate account, team, project, edge_node cascade")
        environment |= await edge_environment(stack)
        await ensure_swarm(address(os.environ.get("DOCKER_HOST", ""), Home()))
        url = f"http://127.0.0.1:{free_port()}"
        gateway = await _gateway(stack, environment, url)
        exit_stack.push_async_callback(gateway.stop)
        browser = await exit_stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=30))
        await _answering(browser, gateway)
        client, engine = await docker.choose(), await exit_stack.enter_async_context(Engine())
        watcher = EventsClient(url)
        exit_stack.push_async_callback(watcher.close)
        await watcher.log_in(USERNAME, PASSWORD)
        owner = Person(browser, USERNAME)
        owner.token = (await owner.made("/auth/login", {"username": USERNAME, "password": PASSWORD}))["token"]
        base_image = await ensure_base_image(client.path)
        installation = Installation(stack, environment, url, engine, client, base_image, owner, watcher, database, gateway)
        await installation.start_worker()
        await installation.start_edge()
        try:
            yield installation
        finally:
            for child in (*installation.workers, *installation.edges, installation.gateway):
                await child.stop()
        unexpected = installation.unexpected()
        assert not unexpected, "\n".join(unexpected[:9])


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("0.0.0.0", 0))
        port: int = one.getsockname()[1]
        return port


async def _gateway(stack: Stack, environment: dict[str, str], url: str, name: str = "gateway") -> Child:
    argv = [sys.executable, "-m", "gateway.cli", "gateway", "--port", url.rpartition(":")[2]]
    return await spawn(replace(stack.command(name, argv, environment), output=stack.directory.logs / f"{name}.log"))


async def _answering(browser: httpx2.AsyncClient, gateway: Child) -> None:
    async def look() -> bool:
        assert gateway.code is None, last_lines(gateway.command.output or Path(os.devnull), 30)
        try:
            return (await browser.get("/api/health")).is_success
        except httpx2.TransportError:
            return False

    await eventually(look)
