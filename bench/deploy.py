"""A deployment against the same command lines typed by hand, the latency of its 202, and the memory of the idle installation.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from bench import idle
from bench.product import Product, product
from bench.replay import Command, Names, Timed, by_hand, removed, rewritten
from bench.report import table, verdict

MEASUREMENTS = ("deploy", "latency", "memory")
FACTOR, EXTRA = 1.15, 1.0
"""A deployment may take so many times as long as by hand, and so many seconds more."""
LATENCY = 100.0
"""Milliseconds."""
MEMORY = 400.0
"""MiB."""


@dataclass(frozen=True)
class Sample:
    """The application that was deployed once: what is called how, and the command lines of that deployment."""

    names: Names
    created: Sequence[Command]


@asynccontextmanager
async def deployed(installation: Product, work: Path) -> AsyncIterator[Sample]:
    """Deploy the sample for the first time; nothing of it is left after the block."""
    application = await installation.application("hello", installation.served, 8080)
    port = application["ports"][0]["publishedPort"]
    names = Names(application["id"], installation.project, application["serviceName"], port, str(work))
    async with removed(installation.recorder.docker, names):
        try:
            created, now = await installation.recorded(names)
            yield Sample(now, created)
        finally:
            await installation.delete(application)


async def deploy(installation: Product, sample: Sample, work: Path, rounds: int) -> bool:
    """Deploy by the product and by hand in turn, and compare."""
    engine, ours, theirs = installation.engine, Names.by_hand(work), sample.names
    async with removed(installation.recorder.docker, ours):
        ours = ours.next(await asyncio.to_thread(installation.change))
        await by_hand(engine, rewritten(sample.created, theirs, ours), ours)
        commands, theirs = await installation.recorded(theirs)

        async def hand() -> Timed:
            now = ours.next(await asyncio.to_thread(installation.change))
            return await by_hand(engine, rewritten(commands, theirs, now), now)

        await hand()
        products, hands, loads = [], [], []
        psutil.cpu_percent()
        for number in range(1, rounds + 1):
            await asyncio.to_thread(installation.change)
            products.append((await installation.deploy(theirs.application))[1])
            hands.append(await hand())
            loads.append(os.getloadavg()[0])
            progress(f"round {number} of {rounds}: product {products[-1].total:.2f} s, by hand {hands[-1].total:.2f} s")
        busy = psutil.cpu_percent()
    return _compared(products, hands, loads, busy)


def _compared(products: Sequence[Timed], hands: Sequence[Timed], loads: Sequence[float], busy: float) -> bool:
    print(f"\nFrom POST …/deploy to success, against the same command lines by hand ({len(products)} rounds)")
    rows = [("round", "product s", "by hand s", "ratio", "load")]
    for number, (ours, theirs, load) in enumerate(zip(products, hands, loads, strict=True), 1):
        rows.append((str(number), f"{ours.total:.2f}", f"{theirs.total:.2f}", f"{ours.total / theirs.total:.3f}", f"{load:.2f}"))
    one, other = (statistics.median(timed.total for timed in side) for side in (products, hands))
    rows.append(("median", f"{one:.2f}", f"{other:.2f}", f"{one / other:.3f}", f"{statistics.median(loads):.2f}"))
    table(rows)
    print(f"Processors {os.cpu_count()}, busy during the rounds {busy:.0f} %; load is the 1-minute average after the round.")
    for name, side in (("product", products), ("by hand", hands)):
        steps = {step: statistics.median(timed.steps.get(step, 0.0) for timed in side) for step in side[0].steps}
        print(f"Of which, {name} (medians): " + ", ".join(f"{step} {seconds:.2f} s" for step, seconds in steps.items()))
    return verdict(f"product ≤ {FACTOR} × by hand + {EXTRA:g} s", one, FACTOR * other + EXTRA, "s")


async def latency(installation: Product) -> bool:
    """Ask for deployments that wait behind one that waits for its git server, so that none of them works."""
    application = await installation.application("waiting", installation.hanging)
    try:
        seconds = await idle.latencies(installation.client, application["id"])
    finally:
        await installation.delete(application)
    fifty, ninety_nine, most = (1000 * value for value in (idle.percentile(seconds, 50), idle.percentile(seconds, 99), seconds[-1]))
    print(f"\nThe 202 of POST …/deploy, {len(seconds)} requests one after the other on an idle machine")
    table([("p50 ms", "p99 ms", "most ms", "load"), (f"{fifty:.1f}", f"{ninety_nine:.1f}", f"{most:.1f}", f"{os.getloadavg()[0]:.2f}")])
    return verdict(f"p99 ≤ {LATENCY:g} ms", ninety_nine, LATENCY, "ms")


async def memory() -> bool:
    """Weigh the installation when it has nothing to do."""
    found = await idle.memory()
    total = found.total() / (1 << 20)
    print(f"\nMemory of the whole embedded stack after {idle.IDLE_SECONDS:g} s without work (PSS, without Docker Engine)")
    table([("process", "MiB"), *((role, f"{size / (1 << 20):.1f}") for role, size in found.most_common()), ("all", f"{total:.1f}")])
    return verdict(f"all < {MEMORY:g} MiB", total, MEMORY, "MiB")


def progress(line: str) -> None:
    """Tell somebody who waits."""
    print(line, file=sys.stderr)


async def measure(only: str | None, rounds: int) -> bool:
    """Carry out the measurements; whether every bound holds."""
    held = []
    with tempfile.TemporaryDirectory(prefix="dokploy-bench-") as name:
        data = Path(name)
        async with product(data) as installation, deployed(installation, data / "stack" / "work") as sample:
            if only in (None, "deploy"):
                held.append(await deploy(installation, sample, data / "by-hand", rounds))
            if only in (None, "latency"):
                held.append(await latency(installation))
            if only in (None, "memory"):
                held.append(await memory())
    return all(held)


def main() -> int:
    """Read the options; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="deployments on each side (default 5)")
    parser.add_argument("--only", choices=MEASUREMENTS, help="one measurement instead of all three")
    options = parser.parse_args()
    try:
        return 0 if asyncio.run(measure(options.only, options.rounds)) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
