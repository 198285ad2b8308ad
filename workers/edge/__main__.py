"""The edge of a node, beside Caddy: finds the containers, answers Caddy's name server and has it serve what the database says."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from models.database import connected
from models.logs import configure
from models.settings import settings
from workers.edge.agent import Agent
from workers.edge.caddy import Caddy
from workers.edge.caddy_config import Node
from workers.edge.certificates import Certificates, told
from workers.edge.counts import Counter, counting
from workers.edge.dns import serving
from workers.edge.domain_config import Authority
from workers.edge.keeper import Keeper, kept
from workers.engine import Engine

log = structlog.get_logger()

CONNECTIONS = 2
REST = 1.0
"""Seconds before a part is tried again that met what nobody expected."""


async def edge() -> None:
    """Run until cancelled. Raises `OSError` when the name server's port is taken."""
    host, port = settings().edge_resolver
    admin = str(settings().edge_admin)
    async with connected(CONNECTIONS, impatient=True), Engine() as engine, Caddy(admin) as caddy:
        agent = Agent(engine)
        with contextlib.suppress(Exception):
            await agent.look()  # the first answers are true ones, when the Engine gives any
        node = _node()
        async with serving(agent.lookup, host, port), told(node.log) as heard, asyncio.TaskGroup() as group:
            log.info("edge.ready", resolver=node.resolver, admin=admin)
            group.create_task(_enduring("agent", agent.run))
            counter = Counter()
            keeper, certificates = Keeper(node, caddy, agent, counter), Certificates(heard.errors, "127.0.0.1", node.https)
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


def _node() -> Node:
    """This node, as the settings say."""
    given = settings()
    host, port = given.edge_resolver
    http, https = given.edge_ports
    authority = Authority(given.acme_directory, given.acme_email, str(given.acme_root or ""))
    return Node(str(given.edge_admin), f"{host}:{port}", str(given.edge_log), http, https, authority)


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
