"""What the statements of the reads cost in Postgres alone, and what a page costs over a thousand and over a million deployments.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec

from bench.reads import cases
from bench.reads.data import PEOPLE, Data, deployments, load
from bench.reads.installation import installed
from bench.reads.report import progress, table, verdict
from bench.reads.signals import orderly
from models.database import connected, own_connection
from schema import tokens
from schema.context import Context
from schema.plan.document import Document
from schema.plan.execute import sight_of
from schema.surface import surface

LARGE_TABLES = ("application", "deployment")
RUNS = 40
FEW, MANY, LARGE = 1, 20, 1001
"""Deployments of each application: a thousand in all, twenty thousand, or a million."""
FACTOR, MOST = 1.2, 5.0
"""A page over many deployments may take so many times as long as over a thousand, and so many milliseconds."""

_DEPLOYMENT = "id status createdAt application { id name }"
DOCUMENTS = {
    "page of applications": (cases.PAGE, 400),
    "page of deployments": (f"{{ deployments(first: 20) {{ nodes {{ {_DEPLOYMENT} }} pageInfo {{ hasNextPage }} totalCount }} }}", 600),
    "application by id": (cases.BY_ID, 20),
    "three levels": (cases.THREE_LEVELS, 1500),
}
"""What is asked, and how many buffers each of its statements may read, for everybody and at each size of the data."""


@dataclass(frozen=True)
class Statement:
    """A statement of a plan with its arguments."""

    name: str
    sql: str
    arguments: tuple[Any, ...]
    ceiling: int


@dataclass(frozen=True)
class Cost:
    """What Postgres says of one statement; times in milliseconds, buffers of 8 KiB."""

    fastest: float
    middle: float
    planning: float
    buffers: int
    scanned: tuple[str, ...]
    """The large tables that were read from end to end."""


class Recorder:
    """A connection that remembers what a plan fetches."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.fetched: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        """Fetch, and remember it."""
        self.fetched.append((sql, arguments))
        return await self._connection.fetch(sql, *arguments)


async def statements(connection: Any, data: Data) -> list[Statement]:
    """What the plans of the documents fetch for each person; a statement has the same name at each size of the data."""
    catalog, found = surface().catalog, []
    for person in PEOPLE:
        context = Context((await tokens.caller_of(data.tokens[person]))[0])
        for title, (text, ceiling) in DOCUMENTS.items():
            values = {"id": data.ids[0]} if "$id" in text else {}
            reads = Document(catalog, text, None).plan(values, sight_of(context)).reads
            recorder = Recorder(connection)
            if reads is not None:
                await reads.run(lambda recorder=recorder: nullcontext(recorder), values, await context.seen(), context, [], None)
            for number, (sql, arguments) in enumerate(recorder.fetched, 1):
                found.append(Statement(f"{title}, statement {number}, {person}", sql, arguments, ceiling))
    return found


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
        async with connected(), own_connection() as connection:
            asked = await statements(connection, data)
            few = {each.name: await explained(connection, each) for each in asked}
            progress(f"loading {'a million' if large else 'twenty thousand'} deployments")
            count = await deployments(connection, LARGE if large else MANY)
            many = {each.name: await explained(connection, each) for each in asked}
    _told("1 thousand", few)
    _told(f"{count:,}".replace(",", " "), many)
    print()
    held = [_judged(each, few[each.name], many[each.name]) for each in asked]
    return all(held)


def _told(size: str, costs: Mapping[str, Cost]) -> None:
    print(f"\nOver {size} deployments ({RUNS} runs each)")
    rows = [("statement", "fastest ms", "median ms", "planning ms", "buffers", "read from end to end")]
    for name, cost in costs.items():
        figures = (f"{cost.fastest:.3f}", f"{cost.middle:.3f}", f"{cost.planning:.3f}", str(cost.buffers))
        rows.append((name, *figures, ", ".join(cost.scanned) or "-"))
    table(rows)


def _judged(statement: Statement, few: Cost, many: Cost) -> bool:
    """The fastest runs are compared, since whatever else the machine does only slows them down."""
    grown = many.fastest / few.fastest
    holds = grown <= FACTOR and many.middle <= MOST and many.buffers <= statement.ceiling and not many.scanned
    bound = f"{statement.name}: ≤ {FACTOR:g} × over a thousand, ≤ {MOST:g} ms, ≤ {statement.ceiling} buffers, no large table scanned"
    return verdict(holds, bound, f"{grown:.2f} ×, {many.middle:.2f} ms, {many.buffers} buffers, {', '.join(many.scanned) or 'none'}")


def main() -> int:
    """Read the options; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="a million deployments instead of twenty thousand")
    return orderly(measure(parser.parse_args().large))


if __name__ == "__main__":
    sys.exit(main())
