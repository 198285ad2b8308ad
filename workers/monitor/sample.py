"""One round: everything that is to be measured on this host is measured at once, and stored in two statements."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from models import Database, metrics
from workers.databases import ENGINES
from workers.databases.contract import Statistics
from workers.databases.credentials import credentials_of
from workers.edge.names import BRIDGE
from workers.monitor.connections import Connections, Target
from workers.monitor.containers import LABELS, Place, owners, running
from workers.monitor.databases import Sample, store, wanted
from workers.monitor.host import HostMeter, disk_of
from workers.monitor.storage import Measuring, Volumes
from workers.monitor.usage import Counting, Meter, taken

log = structlog.get_logger()

DATABASE, APPLICATION = "dokploy.database", "dokploy.application"
"""The labels of the containers that are measured; the value is the id of what they belong to."""
EARLY: Final = 0.5
"""Seconds by which a round may begin before its time."""
SECONDS: Final = 2.0
"""For each thing that is asked; what takes longer is not known in this round."""


class Reading(Measuring, Counting, Protocol):
    """What is read of the Engine (`workers.engine.Engine`). Each raises `EngineUnavailable`."""

    async def containers(self, label: str) -> list[dict[str, Any]]:
        """The containers that have a label."""

    async def network(self, name: str) -> dict[str, Any] | None:
        """A network by its name."""

    async def info(self) -> dict[str, Any]:
        """The Engine and its machine."""


def slot(now: float) -> datetime:
    """The beginning of the ten seconds that a round at a time is the end of."""
    end = datetime.fromtimestamp((now + EARLY) // metrics.SAMPLES.seconds * metrics.SAMPLES.seconds, UTC)
    return end - timedelta(seconds=metrics.SAMPLES.seconds)


class Sampler:
    """Measures what runs on this host, and the host, round by round."""

    def __init__(self, engine: Reading, connections: Connections) -> None:
        self._engine = engine
        self._connections = connections
        self._volumes = Volumes(engine)
        self._meter = Meter(engine)
        self._host: HostMeter | None = None
        self._silent: set[UUID] = set()
        """The databases that have not answered when they were asked last."""

    async def close(self) -> None:
        """Close what is open."""
        await self._volumes.close()
        await self._connections.close()

    async def round(self) -> int:
        """Measure everything once. How many databases run here. Raises `EngineUnavailable`, and what Postgres does."""
        at = slot(time())
        databases = await wanted()
        others, serving = await asyncio.gather(*(self._engine.containers(label) for label in LABELS))
        here = await self._here(databases, serving)
        self._connections.keep(each.id for each, _ in here)
        self._silent &= {each.id for each, _ in here}
        subjects = owners([*serving, *others])
        usages, volumes, statistics = await asyncio.gather(
            self._meter.measure(subjects, SECONDS),
            self._sizes(here),
            asyncio.gather(*(self._statistics(*each) for each in here)),
        )
        if here:
            memory = {container: usage.memory for container, usage in usages.items() if usage}
            samples = [
                Sample(each.id, told, memory.get(place.container), volumes.get(each.volume))
                for told, (each, place) in zip(statistics, here, strict=True)
            ]
            await store(samples)
        host = await self._measured_host()
        await metrics.store(at, host, taken(subjects, usages))
        return len(here)

    async def _here(self, databases: Sequence[Database], serving: list[dict[str, Any]]) -> list[tuple[Database, Place]]:
        if not databases or not serving:
            return []
        bridge = await self._engine.network(BRIDGE)
        places = running(serving, bridge or {})
        return [(each, places[each.id]) for each in databases if each.id in places]

    async def _sizes(self, here: Sequence[tuple[Database, Place]]) -> Mapping[str, int]:
        return await self._volumes.sizes(SECONDS) if here else {}

    async def _measured_host(self) -> metrics.Host:
        if self._host is None:
            root = (await self._engine.info()).get("DockerRootDir") or ""
            self._host = HostMeter(socket.gethostname(), disk_of(root))
        return self._host.measure()

    async def _statistics(self, database: Database, place: Place) -> Statistics | None:
        """What the server says; that it says nothing is reported when it begins, without the words of a library, which may be secrets."""
        if place.address is None:
            return None
        try:
            target = Target(place.container, database.type, place.address, ENGINES[database.type].port, credentials_of(database))
            told = await self._connections.ask(database.id, target, SECONDS)
        except Exception as error:
            if database.id not in self._silent:
                log.info("monitor.silent", database=str(database.id), error=type(error).__name__)
            self._silent.add(database.id)
            return None
        self._silent.discard(database.id)
        return plausible(told)


def plausible(told: Statistics) -> Statistics:
    """What a server said, without what cannot be: its owner decides what it says, and nobody else's figures shall suffer by it."""
    rate = told.cache_hit_rate
    return Statistics(
        connections=_whole(told.connections, 1 << 31),
        queries=_whole(told.queries, 1 << 63),
        cache_hit_rate=float(rate) if isinstance(rate, int | float) and 0 <= rate <= 1 else None,
        size=_whole(told.size, 1 << 63),
    )


def _whole(value: object, limit: int) -> int | None:
    return value if type(value) is int and 0 <= value < limit else None
