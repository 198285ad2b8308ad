"""What following costs: thousands of sockets that follow one deployment, beside the same by the Node reference server.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns

import psutil  # type: ignore[import-untyped]

from bench.followed import Followed, node, product
from bench.report import table, verdict
from bench.subscribers import Asked, Came

ROOT = Path(__file__).parents[1]
QUERY = """subscription ($id: ID!, $after: Int!) {
  deploymentEvents(deploymentId: $id, afterSeq: $after) { seq timestamp kind status stage progress level message }
}"""
IDLE, MEMORY, SETTLED = 2000, 30.0, 10.0
"""Subscribers to whom nothing happens, what one of them may take in KiB, and seconds until that is looked at."""
RATE, EACH = 1000, 20
"""Subscribers, and events a second that each of them gets."""
EQUAL = 1.02
"""Where neither falls behind both take as long as the events do, but for the last delivery."""
DEARER = 1.1
"""Between two rounds of the same server its processor's time for a delivery differs by as much."""
P99 = 150.0
"""Milliseconds."""
LOADS = ((RATE, EACH), (1500, EACH), (1500, 3 * EACH))
"""Subscribers and events a second: what is promised, about what a core can do, and more than it can."""
Load = tuple[int, int]
WARM = 50
BEGIN, END = 120.0, 300.0
"""Seconds in which subscribers follow, and have heard everything."""
LINE = "the line that a build prints here is about as long as the lines of builds are"


@dataclass(frozen=True)
class Round:
    """How one server did under one load."""

    came: Came
    lost: int
    rate: float
    """Deliveries a second, from when the first event was written to when the last one came."""
    cost: float
    """Microseconds of the server's processes for each delivery."""


class Subscribers:
    """A process of them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, server: Followed, number: int, events: int) -> "Subscribers":
        """Let so many follow a server, and wait until they do."""
        asked = Asked(server.port, server.token, QUERY, server.deployment, server.last, number, events)
        argv = [sys.executable, "-m", "bench.subscribers", json.dumps(asked.__dict__)]
        pipe = asyncio.subprocess.PIPE
        found = cls(await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdin=pipe, stdout=pipe))
        await found._line(BEGIN)
        return found

    async def came(self) -> Came:
        """What came, when all of it has."""
        try:
            return Came(**json.loads(await self._line(END)))
        finally:
            await self.end()

    async def end(self) -> None:
        """Be gone."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        if not line:
            raise SystemExit("the subscribers ended")
        return line


async def idle(server: Followed, number: int) -> float:
    """KiB of the server's memory for each of so many subscribers to whom nothing happens."""
    process = psutil.Process(server.pid)
    await (await Subscribers.begin(server, WARM, 0)).end()
    await asyncio.sleep(1)
    before = process.memory_info().rss
    subscribers = await Subscribers.begin(server, number, 0)
    await asyncio.sleep(SETTLED)
    after = process.memory_info().rss
    await subscribers.end()
    return float(after - before) / number / 1024


async def loaded(server: Followed, number: int, rate: float, seconds: float) -> Round:
    """Let events happen at a steady rate to so many subscribers."""
    events = round(rate * seconds)
    subscribers = await Subscribers.begin(server, number, events)
    spent = _spent(server.pid)
    began = monotonic_ns()
    for at in range(events):
        await asyncio.sleep(max(0.0, at / rate - (monotonic_ns() - began) / 1e9))
        await server.tell(f"{monotonic_ns()} {LINE}")
    came = await subscribers.came()
    cost = (_spent(server.pid) - spent) / came.delivered * 1e6
    return Round(came, number * events - came.delivered, came.delivered / (came.seconds + 1 / rate), cost)


def _spent(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def row(name: str, load: Load, found: Round) -> Sequence[str]:
    """A line of the table."""
    came = found.came
    counts = f"{found.rate:.0f}", str(found.lost), str(came.disorder)
    times = f"{came.p50:.1f}", f"{came.p99:.1f}", f"{came.longest:.0f}", f"{found.cost:.1f}", f"{came.cpu / came.delivered * 1e6:.1f}"
    return name, f"{load[0]} × {load[1]}", *counts, *times


def judged(found: Mapping[tuple[str, Load], list[Round]], ours: str, others: Sequence[str]) -> list[bool]:
    """Say whether the bounds on what was delivered hold."""
    rounds = [each for (name, _), rounds in found.items() for each in rounds if name == ours]
    p99 = statistics.median(each.came.p99 for each in found[ours, LOADS[0]])
    holds = [
        verdict("deliveries that were lost or out of order", sum(each.lost + each.came.disorder for each in rounds), 0, "deliveries"),
        verdict(f"{RATE} subscribers with {EACH} events a second each, p99", p99, P99, "ms"),
    ]
    for other in others:
        for load in LOADS:
            pairs = list(zip(found[ours, load], found[other, load], strict=True))
            slower = statistics.median(two.rate / one.rate for one, two in pairs)
            dearer = statistics.median(one.cost / two.cost for one, two in pairs)
            named = f"{load[0]} × {load[1]} beside {other}"
            holds.append(verdict(f"{named}, time until all have come", slower, EQUAL, "of its"))
            holds.append(verdict(f"{named}, processor's time", dearer, DEARER, "of its"))
    return holds


HEADING = ("server", "load", "a second", "lost", "disorder", "p50 ms", "p99 ms", "longest", "server µs", "client µs")


async def main(options: argparse.Namespace) -> int:
    """Measure, print, and say whether the bounds hold."""
    found: dict[tuple[str, Load], list[Round]] = {}
    holds, lines = list[bool](), list[Sequence[str]]([HEADING])
    async with AsyncExitStack() as exit_stack:
        directory = Path(exit_stack.enter_context(TemporaryDirectory(prefix="dk-bench-")))
        ours = await exit_stack.enter_async_context(product(directory))
        servers = [ours] if options.alone else [ours, await exit_stack.enter_async_context(node(directory))]
        if options.only != "load":
            taken = {each.name: await idle(each, IDLE) for each in servers}
            table([("server", "KiB a socket"), *((name, f"{kib:.1f}") for name, kib in taken.items())])
            holds.append(verdict(f"memory of the gateway for each of {IDLE} idle subscribers", taken[ours.name], MEMORY, "KiB"))
        for number in range(options.rounds if options.only != "idle" else 0):
            for load in LOADS:
                for each in servers:
                    one = await loaded(each, *load, options.seconds)
                    found.setdefault((each.name, load), []).append(one)
                    lines.append(row(f"{each.name} {number + 1}", load, one))
                    print(*lines[-1], sep="  ", file=sys.stderr, flush=True)
    if found:
        table(lines)
        holds += judged(found, ours.name, [each.name for each in servers[1:]])
    return 0 if all(holds) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="for which events happen in each round (default 10)")
    parser.add_argument("--only", choices=("idle", "load"))
    parser.add_argument("--alone", action="store_true", help="without the Node reference server")
    sys.exit(asyncio.run(main(parser.parse_args())))
