"""What the statements of the reads cost in Postgres alone, and what a page costs over a thousand and over a million deployments.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec

from bench.reads import sql
from bench.reads.data import PEOPLE, Data, deployments, load
from bench.reads.installation import installed
from bench.reads.report import progress, table, verdict
from bench.reads.signals import orderly
from models.database import own_connection

LARGE_TABLES = ("application", "deployment")
RUNS = 40
FEW, MANY, LARGE = 1, 20, 1001
"""Deployments of each application: a thousand in all, twenty thousand, or a million."""
FACTOR, MOST = 1.2, 5.0
"""A page over many deployments may take so many times as long as over a thousand, and so many milliseconds."""


@dataclass(frozen=True)
class Statement:
    """A statement with its arguments; `page` says that it is one of the pages that are compared."""

    name: str
    sql: str
    arguments: tuple[Any, ...] = ()
    page: bool = False


@dataclass(frozen=True)
class Cost:
    """What Postgres says of one statement; times in milliseconds, buffers of 8 KiB."""

    fastest: float
    middle: float
    planning: float
    buffers: int
    scanned: tuple[str, ...]
    """The large tables that were read from end to end."""


def statements(data: Data, tally: bool) -> Iterator[Statement]:
    """The statements to explain, with arguments; a statement must have the same name at each size of the data."""
    everything, some = sql.everything(tally), sql.some(tally)
    for person in PEOPLE:
        scoped, scope = (everything, ()) if person == "owner" else (some, (data.visible[person],))
        yield Statement(f"page of applications, {person}", scoped.page, scope, page=True)
        yield Statement(f"page of deployments, {person}", scoped.deployments, scope, page=True)
        yield Statement(f"total of applications, {person}", scoped.total, scope)
    yield Statement("three levels: projects", everything.projects)
    yield Statement("three levels: applications", sql.KIDS, (data.projects,))


async def explained(connection: Any, statement: Statement) -> Cost:
    """Run a statement often enough, once for nothing."""
    explain = f"explain (analyze, buffers, format json) {statement.sql}"
    plans = [msgspec.json.decode(await connection.fetchval(explain, *statement.arguments))[0] for _ in range(RUNS + 1)][1:]
    times = [plan["Execution Time"] for plan in plans]
    nodes = list(_nodes(plans[-1]["Plan"]))
    scanned = sorted({node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & set(LARGE_TABLES))
    top = plans[-1]["Plan"]
    buffers = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return Cost(min(times), median(times), median(plan["Planning Time"] for plan in plans), buffers, tuple(scanned))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


async def measure(large: bool) -> bool:
    """Explain everything over a thousand deployments and over many; whether the bounds hold."""
    async with installed():
        progress("loading a thousand deployments")
        data = await load(FEW)
        async with own_connection() as connection:
            asked = list(statements(data, await connection.fetchval(sql.TALLY)))
            few = {each.name: await explained(connection, each) for each in asked}
            progress(f"loading {'a million' if large else 'twenty thousand'} deployments")
            count = await deployments(connection, LARGE if large else MANY)
            many = {each.name: await explained(connection, each) for each in asked}
    _told("1 thousand", few)
    _told(f"{count:,}".replace(",", " "), many)
    print()
    held = [_judged(each.name, few[each.name], many[each.name]) for each in asked if each.page]
    return all(held)


def _told(size: str, costs: Mapping[str, Cost]) -> None:
    print(f"\nOver {size} deployments ({RUNS} runs each)")
    rows = [("statement", "fastest ms", "median ms", "planning ms", "buffers", "read from end to end")]
    for name, cost in costs.items():
        figures = (f"{cost.fastest:.3f}", f"{cost.middle:.3f}", f"{cost.planning:.3f}", str(cost.buffers))
        rows.append((name, *figures, ", ".join(cost.scanned) or "-"))
    table(rows)


def _judged(name: str, few: Cost, many: Cost) -> bool:
    """The fastest runs are compared, since whatever else the machine does only slows them down."""
    holds = many.fastest <= FACTOR * few.fastest and many.middle <= MOST
    bound = f"{name}: ≤ {FACTOR:g} × over a thousand, ≤ {MOST:g} ms"
    return verdict(holds, bound, f"{many.fastest / few.fastest:.2f} ×, {many.middle:.2f} ms")


def main() -> int:
    """Read the options; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="a million deployments instead of twenty thousand")
    return orderly(measure(parser.parse_args().large))


if __name__ == "__main__":
    sys.exit(main())
