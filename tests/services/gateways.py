"""Gateways as processes of their own, over the embedded Postgres and Valkey or whatever stands in for them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2

from gateway.embedded import probes
from gateway.embedded.children import Child, last_lines, spawn
from gateway.embedded.stack import Stack
from gateway.embedded.up import CLI, free_port, gateway_argv

HOST = "127.0.0.1"
GRACE = 10.0
"""Seconds that `dokploy up` and Docker give a gateway to stop."""


class Gateway:
    """One gateway on a port that it keeps."""

    def __init__(self, stack: Stack, name: str, environment: dict[str, str]) -> None:
        self.stack, self.name, self.environment = stack, name, environment
        self.port = free_port(HOST, 0)
        self._child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def child(self) -> Child:
        assert self._child is not None
        return self._child

    @property
    def log(self) -> Path:
        return self.stack.directory.logs / f"{self.name}.log"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        command = self.stack.command(self.name, gateway_argv(CLI, HOST, self.port), grace=GRACE)
        environment = {**(command.env or {}), **self.environment}
        self._child = await spawn(replace(command, env=environment, output=self.log))
        address = probes.Tcp(HOST, self.port)
        assert await probes.within(30, lambda: probes.http_answers(address, "/api/openapi.json")), last_lines(self.log, 30)

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL when it takes too long. The exit status."""
        return await self.child.stop()

    async def end(self, number: signal.Signals) -> int:
        """End it by a signal. The exit status."""
        os.kill(self.child.pid, number)
        async with asyncio.timeout(GRACE):
            return await self.child.wait()

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.child.pid}/fd").iterdir()))

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return len(list(Path(f"/proc/{self.child.pid}/task").iterdir()))


@asynccontextmanager
async def gateways(stack: Stack, number: int, **environment: str) -> AsyncIterator[list[Gateway]]:
    """So many running gateways, whose environment differs from the stack's by `environment`."""
    async with AsyncExitStack() as exit_stack:
        found = [Gateway(stack, f"gateway-{free_port(HOST, 0)}", environment) for _ in range(number)]
        for each in found:
            exit_stack.push_async_callback(_gone, each)
        await asyncio.gather(*[each.start() for each in found])
        yield found


async def _gone(gateway: Gateway) -> None:
    if gateway._child is not None and gateway.child.code is None:
        await gateway.stop()


@asynccontextmanager
async def browser(gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of one gateway."""
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=30, limits=httpx2.Limits(max_connections=None)) as client:
        yield client
