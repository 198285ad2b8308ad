"""One case: its servers are started, their answers compared, and each is measured once in every round."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import msgspec

from bench.reads.cases import HAND, Asked, Case, Contestant
from bench.reads.generator import Load, Sample
from bench.reads.report import progress, table, verdict
from bench.reads.servers import ROOT, Running, Server, serving
from gateway.embedded.children import Command, last_lines, spawn

CONNECTIONS = 8
WARMUP = 0.5
FIRST_WARMUP = 2.0
"""Seconds of load before the first round, so that everything is cached, prepared and compiled that ever will be."""

LOG_SECONDS = 0.5
"""What a server has to say about an error is written after its answer."""


class Wrong(Exception):
    """A server answered something else than it should, or not at all."""


@dataclass(frozen=True)
class Options:
    """How often and for how long each server is measured."""

    rounds: int
    seconds: float


Samples = dict[str, list[Sample]]
"""By the contestants' labels, one of each round."""


async def contest(case: Case, token: str, servers: Mapping[str, Server], options: Options, logs: Path) -> bool:
    """Measure a case with those of its servers that are there, and print it; whether its bounds hold. Raises `Wrong`."""
    present = [each for each in case.contestants if each.server in servers]
    async with AsyncExitStack() as stack:
        running = {each.label: await stack.enter_async_context(serving(servers[each.server], logs)) for each in present}
        await _compare(present, running, token)
        for each in present:
            await _measured(each, running[each.label], token, 0.0, FIRST_WARMUP)
        found: Samples = {each.label: [] for each in present}
        for number in range(options.rounds):
            turn = number % len(present) if present else 0
            for each in present[turn:] + present[:turn]:
                sample = await _measured(each, running[each.label], token, WARMUP, options.seconds)
                found[each.label].append(sample)
                progress(_line(case, number, each, sample))
        await _compare(present, running, token)
    return _told(case, found, [each.label for each in present])


async def _measured(contestant: Contestant, server: Running, token: str, warmup: float, seconds: float) -> Sample:
    requests = [each.encoded(token) for each in contestant.requests]
    load = Load(server.port, server.child.pid, requests, CONNECTIONS, warmup, seconds)
    command = Command("generator", [sys.executable, "-m", "bench.reads.generator"], cwd=ROOT)
    child = await spawn(command, stdin=True, capture=True)
    try:
        output = await child.communicate(msgspec.json.encode(load))
    finally:
        code = await child.stop()
    if code:
        raise Wrong(f"{contestant.label}: {output.decode(errors='replace').strip()}\n{last_lines(server.log, 20)}")
    return msgspec.json.decode(output, type=Sample)


async def _compare(contestants: Sequence[Contestant], running: Mapping[str, Running], token: str) -> None:
    """Every server must answer every request as the handwritten one does: before the load, and after it, when all is compiled."""
    for number in range(len(contestants[0].requests)):
        items: dict[str, Any] = {}
        for each in contestants:
            answer = await _answer(each.requests[number], running[each.label], token)
            try:
                items[each.label] = each.items(answer)
            except (KeyError, TypeError) as error:
                raise Wrong(f"{each.label} answered {str(answer)[:400]}") from error
        for each in contestants:
            if HAND in items and not each.alike(items[each.label], items[HAND]):
                raise Wrong(f"{each.label} is not as {HAND}: {_difference(items[each.label], items[HAND])}")


def _difference(found: Any, expected: Any, place: str = "") -> str:
    """Where two answers differ first."""
    if isinstance(found, dict) and isinstance(expected, dict) and set(found) == set(expected):
        return next(_difference(found[key], expected[key], f"{place}.{key}") for key in found if found[key] != expected[key])
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return next(_difference(*pair, f"{place}[{at}]") for at, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
    return f"{place}: {found!s:.400}, not {expected!s:.400}"


async def _answer(asked: Asked, server: Running, token: str) -> Any:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {token}"}) as client:
        method = "GET" if asked.body is None else "POST"
        answer = await client.request(method, asked.path, json=asked.body, timeout=30)
    if answer.status_code != 200:
        await asyncio.sleep(LOG_SECONDS)
        raise Wrong(f"{method} {asked.path}: {answer.status_code} {answer.text[:400]}\n{last_lines(server.log, 20)}")
    return answer.json()


def _line(case: Case, number: int, contestant: Contestant, sample: Sample) -> str:
    figures = f"{sample.requests_per_second:.0f}/s, {sample.cpu_microseconds:.0f} µs, load {sample.load:.2f}"
    return f"{case.name}, round {number + 1}: {contestant.label}: {figures}"


def _told(case: Case, found: Samples, labels: Sequence[str]) -> bool:
    """Print the table and the verdicts. Ratios are of the same round, since the machine's load changes between rounds."""
    first = labels[0]
    print(f"\n{case.title} ({len(found[first])} rounds, medians)")
    rows = [("server", "requests/s", "CPU µs", "p50 ms", "p99 ms", f"{first} by it", "CPU of it by")]
    ratios = {label: _ratio(found[first], found[label]) for label in labels}
    for label in labels:
        side = found[label]
        figures = [median(getattr(sample, name) for sample in side) for name in ("requests_per_second", "cpu_microseconds", "p50", "p99")]
        rate, cpu = ratios[label]
        rows.append(
            (label, f"{figures[0]:.0f}", f"{figures[1]:.0f}", f"{figures[2]:.2f}", f"{figures[3]:.2f}", f"{rate:.2f}", f"{cpu:.2f}")
        )
    table(rows)
    loads = [max(found[label][number].load for label in labels) for number in range(len(found[first]))]
    print("Load in each round: " + ", ".join(f"{load:.2f}" for load in loads))
    bounds = case.bounds if first == case.contestants[0].label else {}
    held = [_judged(case, first, label, bound, ratios[label]) for label, bound in bounds.items() if label in ratios]
    return all(held)


def _ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> tuple[float, float]:
    """How many times their requests per second ours are, and how many times our CPU per request theirs is."""
    pairs = list(zip(ours, theirs, strict=True))
    rate = median(one.requests_per_second / other.requests_per_second for one, other in pairs)
    return rate, median(other.cpu_microseconds / one.cpu_microseconds for one, other in pairs)


def _judged(case: Case, first: str, label: str, bound: float, ratio: tuple[float, float]) -> bool:
    rate, cpu = ratio
    return verdict(rate >= bound, f"{case.title}: {first} ≥ {bound:g} × {label}", f"{rate:.2f} × (by CPU {cpu:.2f} ×)")
