"""What the edge has passed on: read off Caddy's counters, which begin anew with every configuration, and stored as what was added."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tortoise.transactions import in_transaction

from models import Application, Domain, Traffic
from models.counts import happened
from models.database import AWAY
from workers.edge.caddy import Caddy, EdgeAway
from workers.edge.domain_config import SERVER
from workers.edge.handover import ALMOST, counters_of

log = structlog.get_logger()

HISTOGRAM: Final = "caddy_http_request_duration_seconds"
INTERVAL: Final = 5.0
"""Seconds between two readings: what a Caddy that dies has counted since the last one is lost."""
STORING: Final = 30.0
SWEEPING: Final = 3600.0
KEPT_DAYS: Final = 30
BATCH: Final = 5_000
PASSED_ON: Final = 'handler="reverse_proxy"'
SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

Series = tuple[str, str]
"""A server of Caddy's, and the host that was asked for."""


@dataclass
class Count:
    """Requests, and how long they took."""

    requests: int = 0
    errors: int = 0
    within: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    """By seconds: the requests that took no longer."""

    def add(self, other: "Count") -> None:
        """Add another count to this one."""
        self.requests += other.requests
        self.errors += other.errors
        for seconds, number in other.within.items():
            self.within[seconds] += number

    def since(self, before: "Count | None") -> "Count":
        """What was added to an earlier count; a smaller number is a new beginning."""
        within = {seconds: number - (before.within.get(seconds, 0) if before else 0) for seconds, number in self.within.items()}
        if before is None or self.requests < before.requests or self.errors < before.errors or min(within.values(), default=0) < 0:
            return self
        return Count(self.requests - before.requests, self.errors - before.errors, defaultdict(int, within))

    def seconds(self, share: float) -> float:
        """In how many seconds so great a share of the requests was answered, as exactly as the histogram says it."""
        wanted, lower, below = share * self.requests, 0.0, 0
        for upper, number in sorted(self.within.items()):
            if number >= wanted and number > below:
                return lower if upper == float("inf") else lower + (upper - lower) * (wanted - below) / (number - below)
            lower, below = upper, number
        return lower


def read(text: str) -> dict[Series, Count]:
    """The counters of what was passed on, from Caddy's metrics."""
    found: dict[Series, Count] = defaultdict(Count)
    lines = [line for line in text.splitlines() if line.startswith(HISTOGRAM) and PASSED_ON in line]
    for family in text_string_to_metric_families("\n".join([f"# TYPE {HISTOGRAM} histogram", *lines, ""])):
        for sample in family.samples:
            _add(found[sample.labels["server"], sample.labels.get("host", "")], sample)
    return dict(found)


def _add(count: Count, sample: Sample) -> None:
    number = int(sample.value)
    if sample.name == f"{HISTOGRAM}_bucket":
        count.within[float(sample.labels["le"])] += number
    elif sample.name == f"{HISTOGRAM}_count":
        count.requests += number
        count.errors += number if sample.labels["code"].startswith("5") else 0


def by_application(counts: Mapping[Series, Count], names: Mapping[str, UUID]) -> dict[UUID, Count]:
    """The counts of each application, over its ports and its domains; `names` says whose a domain is."""
    found: dict[UUID, Count] = defaultdict(Count)
    for (server, host), count in counts.items():
        application = names.get(host) if server == SERVER else UUID(server.split("_")[1])
        if application is not None:
            found[application].add(count)
    return dict(found)


class Counter:
    """Adds up what was passed on since it was stored last."""

    def __init__(self) -> None:
        self._last: dict[Series, Count] = {}
        self.added: dict[Series, Count] = defaultdict(Count)
        """Not stored yet."""
        self._lock = asyncio.Lock()

    async def take(self, caddy: Caddy) -> None:
        """Take in Caddy's counters. Raises `EdgeAway`."""
        async with self._lock:
            await self._take(caddy)

    async def across(self, caddy: Caddy, before: Mapping[str, Any], configuration: dict[str, Any]) -> None:
        """Have Caddy go over from a configuration to another one, with which its counters begin anew. Raises what `Caddy.load` raises."""
        async with self._lock:
            await self._take(caddy)
            loading = asyncio.create_task(caddy.load(configuration))
            try:
                await asyncio.wait({loading}, timeout=ALMOST)
                if not loading.done():
                    await self._take_leaving(before)
                await loading
            finally:
                loading.cancel()
            self._last = {}

    async def _take_leaving(self, configuration: Mapping[str, Any]) -> None:
        """Take in what the servers of a configuration have counted that are about to end."""
        socket = counters_of(configuration)
        if socket is not None:
            with contextlib.suppress(EdgeAway):
                async with Caddy(socket) as leaving:
                    await self._take(leaving)

    async def _take(self, caddy: Caddy) -> None:
        self.add(await asyncio.to_thread(read, await caddy.metrics()))

    def add(self, now: dict[Series, Count]) -> None:
        """Add what the counters show now."""
        for series, count in now.items():
            self.added[series].add(count.since(self._last.get(series)))
        self._last = now

    async def store(self, seconds: float) -> None:
        """Store what was added in so many seconds. Raises what the database's being away raises; then it is kept for the next time."""
        taken, self.added = self.added, defaultdict(Count)
        try:
            # Of a name with several paths the whole of it comes last, and counts.
            names = dict(await Domain.all().order_by("-path").values_list("domain", "application_id"))
            counts = by_application(taken, names)
            living = await _living(counts)
            rows = [_row(id, count, seconds) for id, count in counts.items() if id in living and count.requests]
            if rows:
                await _store(rows)
        except BaseException:
            for series, count in taken.items():
                self.added[series].add(count)
            raise


async def counting(caddy: Caddy, counter: Counter) -> None:
    """Take and store again and again, until cancelled."""
    clock = asyncio.get_running_loop().time
    stored, swept = clock(), 0.0
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            await counter.take(caddy)
            if clock() - stored >= STORING:
                await counter.store(clock() - stored)
                stored = clock()
            if clock() - swept >= SWEEPING:
                swept = clock()
                await _sweep()
        except (EdgeAway, *AWAY) as error:
            log.warning("edge.not_counted", error=str(error))


async def _sweep() -> None:
    """Delete what is old, so much at a time that it is soon done."""
    old = Traffic.filter(created_at__lt=datetime.now(UTC) - timedelta(days=KEPT_DAYS)).order_by("created_at").limit(BATCH)
    while ids := await old.values_list("id", flat=True):
        await Traffic.filter(id__in=ids).delete()


async def _store(rows: list[Traffic]) -> None:
    async with in_transaction():
        await Traffic.bulk_create(rows)
        await happened({"edge_requests": sum(each.requests for each in rows), "edge_errors": sum(each.errors for each in rows)})


async def _living(ids: Iterable[UUID]) -> set[UUID]:
    found = await Application.filter(id__in=list(ids)).values_list("id", flat=True)
    return set(found)  # type: ignore[arg-type]


def _row(application: UUID, count: Count, seconds: float) -> Traffic:
    times = {name: count.seconds(share) * 1000 for name, share in SHARES.items()}
    return Traffic(application_id=application, seconds=seconds, requests=count.requests, errors=count.errors, **times)
