"""The edge agent: keeps up with which containers may be sent requests."""

import asyncio
from time import monotonic
from typing import Final, Protocol

import structlog

from workers.convergence import Task
from workers.edge.names import BRIDGE, Addresses, addresses
from workers.engine import EngineUnavailable

log = structlog.get_logger()

INTERVAL: Final = 0.25
"""Seconds between two looks; each takes some milliseconds."""


class Reading(Protocol):
    """What is read of the Engine (`workers.engine.Engine`)."""

    async def all_tasks(self) -> dict[str, list[Task]]:
        """The tasks of all services."""

    async def network(self, name: str) -> dict[str, object] | None:
        """A network by its name."""


class Agent:
    """Knows the addresses of each application's containers; while the Engine does not answer, those that were last."""

    def __init__(self, engine: Reading) -> None:
        self._engine = engine
        self._known: Addresses = {}
        self._seen: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the Engine was heard last; None when it never was."""
        return None if self._seen is None else monotonic() - self._seen

    def lookup(self, application: str) -> tuple[str, ...]:
        """The addresses of an application."""
        return self._known.get(application, ())

    async def look(self) -> None:
        """Look once. Raises `EngineUnavailable`; then everything stays as it is."""
        tasks, bridge = await asyncio.gather(self._engine.all_tasks(), self._engine.network(BRIDGE))
        self._known = addresses([task for each in tasks.values() for task in each], bridge or {})
        self._seen = monotonic()

    async def run(self) -> None:
        """Look again and again, until cancelled; an Engine that goes away or comes back is reported once."""
        away = False
        while True:
            before = away
            try:
                await self.look()
                away = False
            except EngineUnavailable as error:
                away = True
                if not before:
                    log.warning("edge.engine_away", error=str(error))
            if before and not away:
                log.info("edge.engine_back")
            await asyncio.sleep(INTERVAL)
