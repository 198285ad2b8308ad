"""What the statements of the reads cost in Postgres alone, and what a page costs over a thousand and over a million deployments.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import msgspec

from bench.reads import cases
from bench.reads.data import PEOPLE, Data, deployments, load
from bench.reads.installation import installed
from bench.reads.report import progress, table, verdict
from bench.reads.signals import orderly
from gateway.graphql import Asking, Runner
from models.database import connected, own_connection
from schema import tokens
from schema.context import Context
from schema.plan.document import Document
from schema.plan.execute import sight_of
from schema.surface import surface

LARGE_TABLES = ("application", "deployment")
RUNS, PAGE_RUNS = 40, 200
FEW, MANY, LARGE = 1, 20, 1001
"""Deployments of each application: a thousand in all, twenty thousand, or a million."""
FACTOR, MOST = 1.2, 5.0
"""A page over many deployments may take so many times as long as over a thousand, and its statements so many milliseconds."""

_DEPLOYMENT = "id status createdAt application { id name }"
DOCUMENTS = {
    "page of applications": (cases.PAGE, 150),
    "page of deployments": (f"{{ deployments(first: 20) {{ nodes {{ {_DEPLOYMENT} }} pageInfo {{ hasNextPage }} totalCount }} }}", 150),
    "application by id": (cases.BY_ID, 12),
    "three levels": (cases.THREE_LEVELS, 700),
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


Pages = dict[str, float]
"""By their names, the fewest milliseconds from a document to the bytes of its answer."""


async def pages(data: Data) -> Pages:
    """What the documents cost each person with everything but HTTP; the fastest run, since others only had more company."""
    runner, found = Runner(surface()), {}
    for person in PEOPLE:
        caller, _ = await tokens.caller_of(data.tokens[person])
        for title, (text, _) in DOCUMENTS.items():
            asking, times = Asking(text, {"id": data.ids[0]} if "$id" in text else {}), []
            for _ in range(PAGE_RUNS):
                context, began = Context(caller), perf_counter()
                msgspec.json.encode(await runner.run(runner.prepared(asking, context), asking, context))
                times.append(perf_counter() - began)
            found[f"{title}, {person}"] = 1000 * min(times)
    return found


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
            few_pages = await pages(data)
            progress(f"loading {'a million' if large else 'twenty thousand'} deployments")
            count = await deployments(connection, LARGE if large else MANY)
            many = {each.name: await explained(connection, each) for each in asked}
            many_pages = await pages(data)
    _told("1 thousand", few)
    _told(f"{count:,}".replace(",", " "), many)
    print()
    held = [_judged(each, many[each.name]) for each in asked]
    held += [_grown(name, few_pages[name], many_pages[name]) for name in few_pages if name.startswith("page of ")]
    return all(held)


def _told(size: str, costs: Mapping[str, Cost]) -> None:
    print(f"\nOver {size} deployments ({RUNS} runs each)")
    rows = [("statement", "fastest ms", "median ms", "planning ms", "buffers", "read from end to end")]
    for name, cost in costs.items():
        figures = (f"{cost.fastest:.3f}", f"{cost.middle:.3f}", f"{cost.planning:.3f}", str(cost.buffers))
        rows.append((name, *figures, ", ".join(cost.scanned) or "-"))
    table(rows)


def _judged(statement: Statement, cost: Cost) -> bool:
    holds = cost.middle <= MOST and cost.buffers <= statement.ceiling and not cost.scanned
    bound = f"{statement.name}: ≤ {MOST:g} ms, ≤ {statement.ceiling} buffers, no large table scanned"
    return verdict(holds, bound, f"{cost.middle:.2f} ms, {cost.buffers} buffers, {', '.join(cost.scanned) or 'none'}")


def _grown(name: str, few: float, many: float) -> bool:
    found = f"{many / few:.2f} × ({few:.2f} ms, {many:.2f} ms)"
    return verdict(many <= FACTOR * few, f"{name}, from document to bytes: ≤ {FACTOR:g} × over a thousand", found)


def main() -> int:
    """Read the options; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="a million deployments instead of twenty thousand")
    return orderly(measure(parser.parse_args().large))


if __name__ == "__main__":
    sys.exit(main())
