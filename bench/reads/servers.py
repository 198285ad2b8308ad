"""The servers, each a process of its own on a free port of the loopback."""

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.children import Child, Command, last_lines, run, spawn
from models.database import credentials
from models.secrets import token_key
from models.settings import settings

ROOT = Path(__file__).parents[2]
NODE = Path(__file__).with_name("node")
READY_SECONDS = 60.0
OLDEST_NODE = 20


class NotServing(Exception):
    """A server did not come up."""


@dataclass(frozen=True)
class Server:
    """How a server is started; `missing` says what it lacks on this machine, and is empty when nothing is."""

    name: str
    argv: Callable[[int], Sequence[str]]
    environment: Callable[[int], dict[str, str]] = lambda port: {}
    missing: str = ""


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    name: str
    port: int
    child: Child
    log: Path


def _uvicorn(application: str, *options: str) -> Callable[[int], Sequence[str]]:
    settings = (
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--ws",
        "none",
        "--no-access-log",
        "--no-server-header",
        "--log-level",
        "warning",
    )

    def argv(port: int) -> Sequence[str]:
        ending = ("--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "2")
        return [sys.executable, "-m", "uvicorn", application, *options, *settings, *ending]

    return argv


def _node(port: int) -> dict[str, str]:
    """What the Node server is told; its driver calls the credentials by the same names."""
    return {
        "PORT": str(port),
        "DATABASE": json.dumps(credentials(settings().database_url)),
        "TOKEN_KEY": token_key().decode(),
        "NODE_ENV": "production",
    }


def servers() -> dict[str, Server]:
    """Every server, whether it can be started here or not."""
    modules = [name for name in ("fastapi", "sqlalchemy", "greenlet") if importlib.util.find_spec(name) is None]
    programs = [name for name in ("node", "npm") if shutil.which(name) is None]
    found = (
        Server("product", _uvicorn("gateway.app:Application", "--factory")),
        Server("handwritten", _uvicorn("bench.reads.handwritten:application", "--factory")),
        Server("stock", _uvicorn("bench.reads.stock:application", "--factory")),
        Server("fastapi", _uvicorn("bench.reads.fastapi_sqlalchemy:app"), missing=", ".join(modules)),
        Server("mercurius", lambda port: ["node", str(NODE / "server.js")], _node, ", ".join(programs)),
    )
    return {server.name: server for server in found}


async def installed_node() -> bool:
    """Bring the packages of the Node server, unless they are there; whether they are now."""
    if (NODE / "node_modules" / "mercurius").exists():
        return True
    npm = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
    return await run(Command("npm", npm, cwd=NODE)) == 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(server: Server, logs: Path) -> AsyncIterator[Running]:
    """Run a server until the end of the block. Raises `NotServing` with the end of its log."""
    port, log = free_port(), logs / f"{server.name}.log"
    environment = os.environ | server.environment(port)
    child = await spawn(Command(server.name, server.argv(port), env=environment, cwd=ROOT, output=log, grace=5.0))
    try:
        await _ready(child, port, log)
        yield Running(server.name, port, child, log)
    finally:
        await child.stop()


async def _ready(child: Child, port: int, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if child.code is not None or asyncio.get_running_loop().time() > deadline:
                raise NotServing(f"{child.command.name} does not answer:\n{last_lines(log, 20)}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
