"""`dokploy up`: everything in the foreground, until a signal."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.embedded import probes
from gateway.embedded.children import run
from gateway.embedded.engine import ensure_engine
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.probes import Tcp
from gateway.embedded.signals import cancelled_by_signals
from gateway.embedded.stack import Stack
from gateway.embedded.supervisor import Report, say

EDGE: Final = "DOKPLOY_EDGE"
RESERVED: Final = "DOKPLOY_RESERVED_PORTS"
CLI: Final = (sys.executable, "-m", "gateway.cli")
READY_SECONDS: Final = 60.0
GATEWAY_GRACE: Final = 10.0
WORKER_GRACE: Final = 20.0


class MigrationFailed(EmbeddedError):
    """The database could not be brought up to date; the lines above say why."""


class PortTaken(EmbeddedError):
    """The port is taken."""


async def up(data: Path, host: str, port: int, *, cli: Sequence[str] = CLI, report: Report = say) -> int:
    """Run everything on the directory `data` until SIGINT, SIGTERM or SIGHUP, then stop it all. The exit status.

    Port 0 picks a free one. DOKPLOY_DATABASE_URL and DOKPLOY_REDIS_URL replace the embedded servers. `cli` is the command whose
    subcommands `migrate`, `gateway`, `worker`, `edge` and `monitor` are run.
    """
    running = asyncio.create_task(_run(data, host, port, cli, report))
    with cancelled_by_signals(running, report):
        try:
            await running
        except asyncio.CancelledError:
            if (caller := asyncio.current_task()) and caller.cancelling():
                raise
        except (EmbeddedError, OSError) as error:
            report(str(error))
            return 1
    return 0


async def _run(data: Path, host: str, port: int, cli: Sequence[str], report: Report) -> None:
    """Bring everything up, then wait to be cancelled."""
    given = {"database_url": os.environ.get("DOKPLOY_DATABASE_URL"), "redis_url": os.environ.get("DOKPLOY_REDIS_URL")}
    async with Stack(data, **given, report=report) as stack:
        port = free_port(host, port)
        if engine := await ensure_engine(stack.directory.logs / "dockerd.log", report=report):
            stack.supervisor.add(engine)
        if await run(stack.command("migrate", migrate_argv(cli))):
            raise MigrationFailed
        edge = {EDGE: way} if (way := os.environ.get(EDGE)) in ("off", "service") else await edge_environment(stack)
        edge |= behind_the_edge(reachable(host, port))
        gateway = await stack.start("gateway", gateway_argv(cli, host, port), edge, grace=GATEWAY_GRACE)
        await stack.start("worker", worker_argv(cli), edge, grace=WORKER_GRACE)
        await gateway.ready(lambda: probes.http_answers(reachable(host, port), "/api/health"), seconds=READY_SECONDS)
        if edge[EDGE] != "off":
            await stack.start("edge", edge_argv(cli), edge)
        await stack.start("monitor", monitor_argv(cli), edge)
        with contextlib.suppress(OSError):
            sys.stdout.write(f"dokploy is up: http://{url_host(host)}:{port} (docs at /api/docs, GraphiQL at /api/graphql)\n")
            sys.stdout.flush()
        await asyncio.Event().wait()


def behind_the_edge(gateway: Tcp) -> dict[str, str]:
    """The variables by which the edge serves the gateway, too, and is believed by it."""
    found = {RESERVED: ",".join(filter(None, (os.environ.get(RESERVED), str(gateway.port))))}
    if os.environ.get("DOKPLOY_PUBLIC_URL", "").startswith("https://"):
        address = str(socket.getaddrinfo(gateway.host, gateway.port, type=socket.SOCK_STREAM)[0][4][0])
        found["DOKPLOY_EDGE_GATEWAY"] = os.environ.get("DOKPLOY_EDGE_GATEWAY", f"{url_host(address)}:{gateway.port}")
        found["DOKPLOY_TRUSTED_PROXIES"] = os.environ.get("DOKPLOY_TRUSTED_PROXIES", address)
    return found


async def edge_environment(stack: Stack) -> dict[str, str]:
    """Start Caddy. The variables by which the others find it and the edge."""
    admin = await stack.start_caddy()
    resolver = os.environ.get("DOKPLOY_EDGE_RESOLVER") or f"127.0.0.1:{free_port('127.0.0.1', 0)}"
    return {
        EDGE: "embedded",
        "DOKPLOY_EDGE_RUNTIME": str(admin.parent),
        "DOKPLOY_EDGE_RESOLVER": resolver,
    }


def migrate_argv(cli: Sequence[str]) -> list[str]:
    """Bring the database up to date."""
    return [*cli, "migrate"]


def gateway_argv(cli: Sequence[str], host: str, port: int) -> list[str]:
    """The HTTP server."""
    return [*cli, "gateway", "--host", host, "--port", str(port)]


def worker_argv(cli: Sequence[str]) -> list[str]:
    """The process that runs deployments."""
    return [*cli, "worker"]


def edge_argv(cli: Sequence[str]) -> list[str]:
    """The process that keeps Caddy serving."""
    return [*cli, "edge"]


def monitor_argv(cli: Sequence[str]) -> list[str]:
    """The process that measures what runs here."""
    return [*cli, "monitor"]


def free_port(host: str, port: int) -> int:
    """`port`, or a free one for 0. Raises `PortTaken` (also for a host that is not ours)."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise PortTaken(f"cannot listen on {url_host(host)}:{port}: {error.strerror}") from error


def reachable(host: str, port: int) -> Tcp:
    """The address by which this machine reaches a server that listens on `host`."""
    return Tcp({"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host), port)  # noqa: S104 — compared, not bound


def url_host(host: str) -> str:
    """`host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
