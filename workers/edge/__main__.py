"""The edge of a node, beside Caddy: finds the containers, answers Caddy's name server and has it serve what the database says."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from models import Installation
from models.database import connected
from models.logs import configure
from models.settings import settings
from workers.docker import choose
from workers.edge.agent import Agent
from workers.edge.caddy import Caddy
from workers.edge.caddy_config import Node
from workers.edge.certificates import Certificates, told
from workers.edge.counts import Counter, counting
from workers.edge.dns import serving
from workers.edge.domain_config import Authority
from workers.edge.image import caddy_binary, image_of
from workers.edge.keeper import Keeper, kept
from workers.edge.swarm_service import SOCKET, SwarmService, Wanted
from workers.edge.wanted import gateway_route
from workers.engine import Engine

log = structlog.get_logger()

CONNECTIONS = 2
REST = 1.0
"""Seconds before a part is tried again that met what nobody expected."""


async def edge() -> None:
    """Run until cancelled. Raises `OSError` when the name server's port is taken."""
    host, port = settings().edge_resolver
    runtime = _runtime()
    async with connected(CONNECTIONS, impatient=True), Engine() as engine, Caddy(str(runtime / SOCKET)) as caddy:
        agent = Agent(engine)
        with contextlib.suppress(Exception):
            await agent.look()  # the first answers are true ones, when the Engine gives any
        node = _node(str(runtime / "log.sock"))
        async with serving(agent.lookup, host, port), told(node.log) as heard, asyncio.TaskGroup() as group:
            log.info("edge.ready", resolver=node.resolver, runtime=str(runtime))
            if settings().edge == "service":
                group.create_task(_enduring("service", lambda: _service(engine, runtime)))
            group.create_task(_enduring("agent", agent.run))
            counter = Counter()
            keeper = Keeper(node, caddy, agent, counter)
            own = [route.domain for route in gateway_route()]
            certificates = Certificates(heard.errors, "127.0.0.1", node.https, own)
            group.create_task(_enduring("keeper", lambda: kept(keeper, socket.gethostname())))
            group.create_task(_enduring("counter", lambda: counting(caddy, counter)))
            group.create_task(_enduring("certificates", certificates.run))


async def _enduring(part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do one part's work, again after what nobody expected: the name server must not go with it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("edge.unexpected", part=part)
        await asyncio.sleep(REST)


def _runtime() -> Path:
    """The directory for the sockets. Raises `SystemExit` when there can be none."""
    if settings().edge == "service" and os.geteuid() != 0:
        sys.exit("dokploy: DOKPLOY_EDGE=service needs root, to which Caddy's sockets belong.")
    runtime = settings().edge_runtime.resolve()
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"dokploy: the directory DOKPLOY_EDGE_RUNTIME cannot be made: {runtime}: {error.strerror}")
    return runtime


async def _service(engine: Engine, runtime: Path) -> None:
    """Keep Caddy's Swarm service."""
    binary = caddy_binary()
    installation, image = await Installation.get(), await asyncio.to_thread(image_of, binary)
    wanted = Wanted(str(installation.id), image, runtime, settings().acme_root)
    await SwarmService(engine, await choose(), wanted, binary).run()


def _node(log_socket: str) -> Node:
    """This node, as the settings say."""
    given = settings()
    host, port = given.edge_resolver
    http, https = given.edge_ports
    authority = Authority(given.acme_directory, given.acme_email, str(given.acme_root or ""))
    return Node(f"{host}:{port}", log_socket, http, https, authority)


async def _until_told() -> None:
    running = asyncio.current_task()
    if running is None:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await edge()


def main() -> None:
    """Work until SIGINT or SIGTERM."""
    configure()
    try:
        asyncio.run(_until_told())
    except OSError as error:
        sys.exit(f"dokploy: the edge's name server cannot listen (DOKPLOY_EDGE_RESOLVER): {error.strerror}")


if __name__ == "__main__":
    main()
