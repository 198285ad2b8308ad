"""What the edge costs: requests through it beside requests to the application's own port, in turn, by wrk.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from bench.report import table, verdict
from gateway.embedded import probes
from gateway.embedded.binaries import caddy_binary
from gateway.embedded.caddy import Caddy as Server
from gateway.embedded.children import Command, spawn
from gateway.embedded.engine_install import install_programs
from gateway.embedded.probes import Tcp
from gateway.embedded.supervisor import say
from gateway.embedded.up import free_port
from workers.edge.caddy import Caddy
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration
from workers.edge.dns import serving

HERE, THERE = "127.0.0.1", "127.0.0.2"
"""Where the edge listens, and where the application does."""
BODY = "x" * 1000
MANY, SECONDS = 24, 4
"""Connections that are kept alive, and seconds of each measurement."""
THROUGHPUT, LATENCY = 0.6, 1.0
"""The share of the requests that there are without the edge, at least, and milliseconds that are added, at most."""
WORKING = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Answers(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1
    def log_message(self, *_): pass
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(sys.argv[2])))
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
ThreadingHTTPServer(("127.0.0.2", int(sys.argv[1])), Answers).serve_forever()
"""


@dataclass(frozen=True)
class Measured:
    """What wrk says."""

    per_second: float
    median: float
    """Milliseconds."""


@dataclass(frozen=True)
class Round:
    """The application's own port and the edge, with many connections, then with one."""

    own: Measured
    through: Measured
    own_alone: Measured
    through_alone: Measured

    @property
    def ratio(self) -> float:
        """The share of the requests that the edge leaves."""
        return self.through.per_second / self.own.per_second

    @property
    def added(self) -> float:
        """Milliseconds that a single request takes longer."""
        return self.through_alone.median - self.own_alone.median

    @property
    def shown(self) -> Sequence[str]:
        """A row of the table."""
        rates = (f"{self.own.per_second:.0f}", f"{self.through.per_second:.0f}", f"{self.ratio:.2f}")
        return (*rates, f"{self.own_alone.median:.3f}", f"{self.through_alone.median:.3f}", f"{self.added:.3f}")


def applications(port: int) -> dict[str, list[str]]:
    """By what they do: the command lines of applications that answer with 1 kB."""
    caddy = str(caddy_binary())
    return {
        "works a little (Python's http.server)": [sys.executable, "-c", WORKING, str(port), BODY],
        "does nothing (caddy respond)": [caddy, "respond", "--listen", f"{THERE}:{port}", BODY],
    }


@asynccontextmanager
async def edge(folder: Path, port: int, container: int) -> AsyncIterator[None]:
    """An edge that leads from a port to the application, for as long as the block lasts."""
    server = Server(caddy_binary(), folder, folder / "data", folder / "caddy.log")
    server.initialise()
    async with AsyncExitStack() as resources:
        resolver = await resources.enter_async_context(serving(lambda application: (THERE,), HERE, 0))
        child = await spawn(server.command())
        resources.push_async_callback(child.stop)
        await probes.within(20, server.answers)
        caddy = await resources.enter_async_context(Caddy(str(server.socket)))
        node = Node(f"{HERE}:{resolver}")
        await caddy.load(configuration(node, Routes((PortRoute(str(uuid4()), port, container),))))
        yield


async def wrk(host: str, port: int, connections: int) -> Measured:
    """Ask for a while. Raises `SystemExit` when a request failed: then there is nothing to compare."""
    argv = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s", "--latency", f"http://{host}:{port}/"]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    text = (await process.communicate())[0].decode()
    rate, middle = re.search(r"Requests/sec:\s+([\d.]+)", text), re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    if not rate or not middle or "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"wrk could not measure {host}:{port}:\n{text}")
    return Measured(float(rate[1]), float(middle[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[middle[2]])


async def compared(what: str, argv: Sequence[str], port: int, container: int, rounds: int) -> tuple[float, float]:
    """The share of the requests that the edge leaves, and the milliseconds that it adds to a single one; medians of some rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with AsyncExitStack() as resources:
            command = Command("application", list(argv), output=folder / "application.log")
            child = await spawn(replace(command, env={"HOME": name}))
            resources.push_async_callback(child.stop)
            await resources.enter_async_context(edge(folder, port, container))
            await probes.within(20, lambda: probes.http_answers(Tcp(THERE, container), "/"))
            measured = [await _round(port, container) for _ in range(rounds)]
    print(f"\nAn application that {what}, {MANY} connections and one")
    heading = ("own port /s", "edge /s", "ratio", "own p50 ms", "edge p50 ms", "added ms")
    table([heading, *(each.shown for each in measured)])
    return statistics.median(each.ratio for each in measured), statistics.median(each.added for each in measured)


async def _round(port: int, container: int) -> Round:
    own, through = await wrk(THERE, container, MANY), await wrk(HERE, port, MANY)
    return Round(own, through, await wrk(THERE, container, 1), await wrk(HERE, port, 1))


async def measure(rounds: int) -> bool:
    """Measure every application; whether the bounds hold: the one of requests for an application that does something."""
    await install_programs({"wrk": "wrk"}, Path(tempfile.gettempdir()) / "dokploy-bench-install.log", say)
    port, container = free_port(HERE, 0), free_port(THERE, 0)
    found = [await compared(what, argv, port, container, rounds) for what, argv in applications(container).items()]
    print()
    requests = verdict("own port ÷ edge, of what works a little", 1 / found[0][0], 1 / THROUGHPUT, "×")
    return verdict("added p50", max(added for _, added in found), LATENCY, "ms") and requests


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    sys.exit(0 if asyncio.run(measure(parser.parse_args().rounds)) else 1)


if __name__ == "__main__":
    main()
