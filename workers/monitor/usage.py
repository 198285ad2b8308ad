"""What containers take, as the Engine counts it: what is added to its counters from one round to the next."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from models.metrics import Taken
from workers.engine import EngineUnavailable

NANO: Final = 1_000_000_000
_NEVER: Final = "0001-"
"""What the time of a container begins with that has ended."""


class Counting(Protocol):
    """What tells of containers (`workers.engine.Engine`)."""

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        """What a container takes. Raises `EngineUnavailable`."""

    async def container_limits(self, container_id: str) -> tuple[int | None, float | None] | None:
        """What a container may take: bytes of memory, cores. Raises `EngineUnavailable`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of a container at a time."""

    at: datetime | None
    cpu: int | None
    """Nanoseconds of a core."""
    memory: int | None
    """Bytes, as is all that follows."""
    network_rx: int | None
    network_tx: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container took since it was read last; None is what is not known."""

    cpu: float | None
    """Cores."""
    memory: int | None
    """Bytes at the end, as is all that follows but the last."""
    network_rx: int | None
    network_tx: int | None
    memory_limit: int | None = None
    """What it may take; None without a limit."""
    cpu_limit: float | None = None
    """The same, in cores."""


def memory_of(usage: Mapping[str, Any]) -> int | None:
    """Bytes of memory as `docker stats` counts them: without the part of the page cache that nobody has used lately.

    `usage` is what `Engine.container_usage` says; None for a container that has ended.
    """
    memory: Mapping[str, Any] = usage.get("memory_stats") or {}
    taken = memory.get("usage")
    if taken is None:
        return None
    counts: Mapping[str, int] = memory.get("stats") or {}
    inactive = counts.get("total_inactive_file", counts.get("inactive_file", 0))  # of version 1 and 2 of control groups
    return int(taken - inactive if inactive < taken else taken)


def reading_of(usage: Mapping[str, Any]) -> Reading:
    """The counters in what `Engine.container_usage` says."""
    said = usage.get("read") or _NEVER
    networks: Mapping[str, Mapping[str, int]] | None = usage.get("networks")
    return Reading(
        at=None if said.startswith(_NEVER) else datetime.fromisoformat(said),
        cpu=((usage.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage"),
        memory=memory_of(usage),
        network_rx=None if networks is None else sum(each["rx_bytes"] for each in networks.values()),
        network_tx=None if networks is None else sum(each["tx_bytes"] for each in networks.values()),
    )


def between(before: Reading | None, now: Reading) -> Usage:
    """What was added to the counters; of a container that was not read before, or whose counters began anew, that is not known."""
    if before is None:
        return Usage(None, now.memory, None, None)
    seconds = (now.at - before.at).total_seconds() if now.at and before.at else 0.0
    cpu = _added(before.cpu, now.cpu)
    return Usage(
        cpu=cpu / NANO / seconds if cpu is not None and seconds > 0 else None,
        memory=now.memory,
        network_rx=_added(before.network_rx, now.network_rx),
        network_tx=_added(before.network_tx, now.network_tx),
    )


def _added(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None or now < before else now - before


class Meter:
    """Measures containers, round by round."""

    def __init__(self, engine: Counting) -> None:
        self._engine = engine
        self._last: dict[str, Reading] = {}
        self._limits: dict[str, tuple[int | None, float | None]] = {}
        """Of the containers that are measured; they never change."""

    async def measure(self, containers: Iterable[str], seconds: float) -> dict[str, Usage | None]:
        """What each takes, all asked at once; None of one that has ended. One that is not told of within so many seconds is left out."""
        asked = list(containers)
        found = await asyncio.gather(*(self._read(each, seconds) for each in asked))
        told = {container: reading for container, reading in zip(asked, found, strict=True) if not isinstance(reading, EngineUnavailable)}
        usages = {
            container: None if reading is None else self._limited(container, between(self._last.get(container), reading))
            for container, reading in told.items()
        }
        before = {container: self._last[container] for container in asked if container in self._last}
        self._last = before | {container: reading for container, reading in told.items() if reading is not None}
        self._limits = {container: self._limits[container] for container in asked if container in self._limits}
        return usages

    def _limited(self, container: str, usage: Usage) -> Usage:
        memory, cpu = self._limits[container]
        return replace(usage, memory_limit=memory, cpu_limit=cpu)

    async def _read(self, container: str, seconds: float) -> Reading | EngineUnavailable | None:
        try:
            async with asyncio.timeout(seconds):
                usage = await self._engine.container_usage(container)
                if usage is not None and container not in self._limits:
                    self._limits[container] = await self._engine.container_limits(container) or (None, None)
        except EngineUnavailable as error:
            return error
        except TimeoutError:
            return EngineUnavailable()
        reading = reading_of(usage) if usage is not None else None
        return reading if reading is not None and reading.memory is not None else None


def taken(subjects: Mapping[str, UUID], usages: Mapping[str, Usage | None]) -> list[Taken]:
    """What applications and databases take, by the ids of their containers.

    Where one of its containers is not known of, the sum would be too small: there is none.
    """
    parts: dict[UUID, list[Usage]] = defaultdict(list)
    for container, subject in subjects.items():
        usage = usages.get(container)
        if usage is not None:
            parts[subject].append(usage)
    unknown = {subject for container, subject in subjects.items() if container not in usages}
    return [_sum(subject, each) for subject, each in parts.items() if subject not in unknown]


def _sum(subject: UUID, parts: list[Usage]) -> Taken:
    """The sum of its containers; of what is not known of one of them, as in its first round, or what one has no limit of, there is none."""

    def total(name: str) -> Any:
        values = [value for each in parts if (value := getattr(each, name)) is not None]
        return sum(values) if len(values) == len(parts) else None

    return Taken(subject, **{name: total(name) for name in ("cpu", "memory", "network_rx", "network_tx", "memory_limit", "cpu_limit")})
