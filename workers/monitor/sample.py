"""One round: everything that is to be measured on this host is measured at once, and stored in one statement."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from models import Database
from workers.databases import ENGINES
from workers.databases.contract import Statistics
from workers.databases.credentials import credentials_of
from workers.edge.names import BRIDGE
from workers.engine import EngineUnavailable
from workers.monitor.connections import Connections, Target
from workers.monitor.containers import Place, running
from workers.monitor.databases import Sample, store, wanted
from workers.monitor.storage import Measuring, Volumes, memory_of

log = structlog.get_logger()

LABEL: Final = "dokploy.database"
"""Of the containers of databases; its value is the database's id."""
SECONDS: Final = 2.0
"""For each thing that is asked; what takes longer is not known in this round."""


class Reading(Measuring, Protocol):
    """What is read of the Engine (`workers.engine.Engine`). Each raises `EngineUnavailable`."""

    async def containers(self, label: str) -> list[dict[str, Any]]:
        """The containers that have a label."""

    async def network(self, name: str) -> dict[str, Any] | None:
        """A network by its name."""

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        """What a container takes."""


class Sampler:
    """Measures the databases of this host, round by round."""

    def __init__(self, engine: Reading, connections: Connections) -> None:
        self._engine = engine
        self._connections = connections
        self._volumes = Volumes(engine)
        self._silent: set[UUID] = set()
        """The databases that have not answered when they were asked last."""

    async def close(self) -> None:
        """Close what is open."""
        await self._volumes.close()
        await self._connections.close()

    async def round(self) -> int:
        """Measure everything once. How many databases run here. Raises `EngineUnavailable`, and what Postgres does."""
        here = await self._here()
        self._connections.keep(each.id for each, _ in here)
        self._silent &= {each.id for each, _ in here}
        if here:
            measured = asyncio.gather(*(self._measured(*each) for each in here))
            volumes, found = await asyncio.gather(self._volumes.sizes(SECONDS), measured)
            await store([_with_storage(sample, each.volume, volumes) for sample, (each, _) in zip(found, here, strict=True)])
        return len(here)

    async def _here(self) -> list[tuple[Database, Place]]:
        databases = await wanted()
        if not databases:
            return []
        containers, bridge = await asyncio.gather(self._engine.containers(LABEL), self._engine.network(BRIDGE))
        places = running(LABEL, containers, bridge or {})
        return [(each, places[str(each.id)]) for each in databases if str(each.id) in places]

    async def _measured(self, database: Database, place: Place) -> Sample:
        statistics, memory = await asyncio.gather(self._statistics(database, place), self._memory(place))
        return Sample(database.id, statistics, memory)

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

    async def _memory(self, place: Place) -> int | None:
        try:
            async with asyncio.timeout(SECONDS):
                return memory_of(await self._engine.container_usage(place.container))
        except (EngineUnavailable, TimeoutError):
            return None


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


def _with_storage(sample: Sample, volume: str, sizes: Mapping[str, int]) -> Sample:
    return Sample(sample.database, sample.statistics, sample.memory, sizes.get(volume))
