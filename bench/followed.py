"""What is followed: a deployment of the product that goes on, and the same by the Node reference server, each behind one `tell`."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import models
from gateway.demo.client import Client
from gateway.embedded import probes
from gateway.embedded.children import Command, last_lines, run, spawn
from gateway.embedded.stack import Stack
from gateway.embedded.up import free_port
from models import valkey
from models.bell import wake
from models.database import connected, database, migrate
from models.events import Entry, append
from models.settings import settings
from tests.services.gateways import HOST, gateways

NODE = Path(__file__).with_name("node")
READY = 30.0
EVENT = {"kind": "log", "status": "pending", "stage": None, "progress": 0, "level": "info"}


@dataclass
class Followed:
    """A server with something that can be followed."""

    name: str
    port: int
    pid: int
    write: Callable[[int, str], Awaitable[None]]
    """Let an event happen with a number and a message."""
    last: int
    """The number of the last event."""
    deployment: str = "1"
    token: str = ""

    async def tell(self, message: str) -> None:
        """Let an event happen."""
        self.last += 1
        await self.write(self.last, message)


@asynccontextmanager
async def product(directory: Path) -> AsyncIterator[Followed]:
    """A gateway with a deployment that waits for a worker which there is not; its events go through Postgres and Valkey."""
    async with AsyncExitStack() as exit_stack:
        stack = await exit_stack.enter_async_context(Stack(directory / "stack"))
        os.environ.update(stack.environment)
        settings.cache_clear()
        await migrate()
        (gateway,) = await exit_stack.enter_async_context(gateways(stack, 1, DOKPLOY_RATE_LIMITS="off"))
        await exit_stack.enter_async_context(connected())
        exit_stack.push_async_callback(valkey.close)
        client = Client(gateway.url)
        exit_stack.push_async_callback(client.close)
        await client.log_in("bench", "correct horse battery")
        project = (await client.post("/projects", {"name": "Bench"}))["id"]
        source = {"repoUrl": "https://github.com/user/app"}
        application = (await client.post("/applications", {"name": "app", "projectId": project, "gitSource": source}))["id"]
        deployment = (await client.post(f"/applications/{application}/deploy", {}))["deploymentId"]

        async def write(_: int, message: str) -> None:
            await append(database(), UUID(deployment), [Entry(models.EventKind.log, message)])
            await wake(UUID(deployment))

        last = (await models.Deployment.get(id=deployment)).last_seq
        yield Followed("ours", gateway.port, gateway.child.pid, write, last, deployment, client.token)


@asynccontextmanager
async def node(directory: Path) -> AsyncIterator[Followed]:
    """graphql-ws over ws, which is handed its events line by line and keeps them in memory."""
    await installed_node()
    port, door, log = free_port(HOST, 0), directory / "node.sock", directory / "node.log"
    environment = os.environ | {"PORT": str(port), "EVENTS": str(door), "NODE_ENV": "production"}
    child = await spawn(Command("node", ("node", str(NODE / "streams.js")), env=environment, output=log))
    try:
        assert await probes.within(READY, lambda: listens(port)), last_lines(log, 20)
        _, writer = await asyncio.open_unix_connection(door)

        async def write(seq: int, message: str) -> None:
            event = {"seq": seq, "timestamp": datetime.now(UTC).isoformat(), **EVENT, "message": message}
            writer.write(json.dumps(event).encode() + b"\n")

        found = Followed("node", port, child.pid, write, 0)
        await found.tell("begin")
        yield found
        writer.close()
    finally:
        await child.stop()


async def installed_node() -> None:
    """Bring the packages of the Node server, unless they are there."""
    if not (NODE / "node_modules" / "ws").exists():
        npm = ("npm", "ci", "--no-audit", "--no-fund", "--silent")
        if await run(Command("npm", npm, cwd=NODE)):
            raise SystemExit("npm could not install the packages of the Node server")


async def listens(port: int) -> bool:
    """Whether somebody listens."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
