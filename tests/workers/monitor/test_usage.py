"""What a container takes: read from what engines say on machines with control groups of either version, and from one round to the next."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from models.metrics import Taken
from workers.engine import EngineUnavailable
from workers.monitor.usage import Meter, Reading, Usage, between, memory_of, reading_of, taken

RECORDED: dict[str, Any] = msgspec.json.decode((Path(__file__).parents[1] / "recorded" / "stats_v1.json").read_bytes())
"""What Engine 20.10 says on a machine with control groups of version 1, asked with `one-shot`."""
FIRST = {"usage": 3_424_256, "stats": {"cache": 0, "inactive_file": 1, "total_inactive_file": 700_000, "rss": 2_777_088}}
SECOND = {"usage": 48_840_704, "stats": {"anon": 20_000_000, "file": 25_000_000, "inactive_file": 16_777_216}}
ENDED = {"read": "0001-01-01T00:00:00Z", "cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}
UNIFIED = {
    "read": "2026-11-28T21:00:51.5Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 1_504_123_000, "usage_in_kernelmode": 504_000_000, "usage_in_usermode": 1_000_123_000}},
    "precpu_stats": {"cpu_usage": {"total_usage": 0}},
    "memory_stats": SECOND,
    "networks": {"eth0": {"rx_bytes": 1_200_000, "tx_bytes": 74_000}, "eth1": {"rx_bytes": 648, "tx_bytes": 126}},
}
"""What there is of that with version 2, in the form that the Engine's API documents."""
AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("memory", "bytes_"),
    [
        (FIRST, 2_724_256),
        (SECOND, 32_063_488),
        ({"usage": 100, "stats": {"inactive_file": 100}}, 100),
        ({"usage": 100}, 100),
        ({"usage": 0, "stats": {}}, 0),
        ({"limit": 5}, None),
        ({}, None),
        (None, None),
    ],
)
def test_memory_is_counted_as_docker_stats_does(memory: dict[str, object] | None, bytes_: int | None) -> None:
    assert memory_of({"memory_stats": memory}) == bytes_


@pytest.mark.parametrize(
    ("usage", "cpu", "memory", "networks"),
    [
        pytest.param(RECORDED, 4_983_031_426, 160_411_648, (656, 0), id="control groups of version 1"),
        pytest.param(UNIFIED, 1_504_123_000, 32_063_488, (1_200_648, 74_126), id="control groups of version 2"),
    ],
)
def test_what_an_engine_says_is_read(usage: dict[str, Any], cpu: int, memory: int, networks: tuple[int, int]) -> None:
    said = reading_of(usage)
    assert (said.cpu, said.memory, (said.network_rx, said.network_tx)) == (cpu, memory, networks)
    assert said.at is not None and said.at.tzinfo is not None


def test_a_container_without_networks_has_no_traffic_that_is_known() -> None:
    assert reading_of({"read": "2026-11-28T21:00:51.082011964Z", "memory_stats": {"usage": 1}}).network_rx is None


def reading(second: float, cpu: int | None = 0, memory: int = 7, rx: int | None = 0, tx: int | None = 0) -> Reading:
    return Reading(datetime.fromtimestamp(AT.timestamp() + second, UTC), cpu, memory, rx, tx)


def test_what_was_used_between_two_readings_is_known() -> None:
    assert between(reading(0, 500, 7, 10, 20), reading(10, 5_000_000_500, 8, 110, 25)) == Usage(0.5, 8, 100, 5)
    assert between(reading(0), reading(20, 30_000_000_000)).cpu == 1.5, "of several cores, and however long it was"


def test_of_the_first_reading_only_what_is_so_now_is_known() -> None:
    assert between(None, reading(0, 500, 7, 10, 20)) == Usage(None, 7, None, None)


def test_counters_that_began_anew_say_nothing_of_before() -> None:
    assert between(reading(0, 500, 7, 10, 20), reading(10, 400, 8, 5, 30)) == Usage(None, 8, None, 10)


def test_a_reading_that_is_the_one_before_says_nothing() -> None:
    assert between(reading(5, 500), reading(5, 500)).cpu is None


class Told:
    """An Engine with containers that have used up so much."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {}
        self.limits: dict[str, tuple[int | None, float | None]] = {}
        self.looked: list[str] = []
        """Whose limits were asked for."""

    async def container_limits(self, container_id: str) -> tuple[int | None, float | None] | None:
        self.looked.append(container_id)
        return self.limits.get(container_id)

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        said = self.says.get(container_id)
        if isinstance(said, Exception):
            raise said
        if said == "hangs":
            await asyncio.sleep(60)
        found: dict[str, Any] | None = said
        return found

    def at(self, second: int, cpu: float, rx: int = 0) -> dict[str, Any]:
        return {
            "read": f"2026-11-28T12:00:{second:02}.123456789Z",
            "cpu_stats": {"cpu_usage": {"total_usage": int(cpu * 1e9)}},
            "memory_stats": {"usage": 9},
            "networks": {"eth0": {"rx_bytes": rx, "tx_bytes": 1}, "eth1": {"rx_bytes": 5, "tx_bytes": 2}},
        }


async def test_rounds_are_taken_from_one_another() -> None:
    engine = Told()
    meter = Meter(engine)
    engine.says = {"a": engine.at(0, 3), "b": engine.at(0, 1)}
    assert await meter.measure(["a", "b"], 1) == {"a": Usage(None, 9, None, None), "b": Usage(None, 9, None, None)}
    engine.says = {"a": engine.at(10, 8, 400), "b": engine.at(5, 2)}
    assert await meter.measure(["a", "b"], 1) == {"a": Usage(0.5, 9, 400, 0), "b": Usage(0.2, 9, 0, 0)}


async def test_what_a_container_may_take_is_asked_once() -> None:
    engine = Told()
    meter = Meter(engine)
    engine.limits = {"a": (512, 0.5)}
    for second in (0, 10):
        engine.says = {"a": engine.at(second, 3), "b": engine.at(second, 3)}
        found = await meter.measure(["a", "b"], 1)
    assert [(each.memory_limit, each.cpu_limit) for each in found.values() if each] == [(512, 0.5), (None, None)]
    assert sorted(engine.looked) == ["a", "b"]


@pytest.mark.parametrize("trouble", ["hangs", EngineUnavailable("odd")])
async def test_what_is_not_told_is_left_out_and_counted_the_next_time(trouble: object) -> None:
    engine = Told()
    meter = Meter(engine)
    engine.says = {"a": engine.at(0, 3)}
    await meter.measure(["a"], 0.05)
    engine.says = {"a": trouble}
    assert await meter.measure(["a"], 0.05) == {}
    engine.says = {"a": engine.at(20, 13, 70)}
    assert await meter.measure(["a"], 0.05) == {"a": Usage(0.5, 9, 70, 0)}


async def test_a_container_that_has_ended_takes_nothing() -> None:
    engine = Told()
    engine.says = {"a": None, "b": ENDED}
    assert await Meter(engine).measure(["a", "b"], 1) == {"a": None, "b": None}


async def test_what_is_gone_is_forgotten() -> None:
    engine = Told()
    meter = Meter(engine)
    engine.says = {"a": engine.at(0, 3)}
    await meter.measure(["a"], 1)
    await meter.measure([], 1)
    assert meter._last == {}


SHOP, BLOG = uuid4(), uuid4()
OWNERS: dict[str, UUID] = {"s1": SHOP, "s2": SHOP, "b1": BLOG}


def test_an_application_takes_what_its_containers_take() -> None:
    usages = {"s1": Usage(0.5, 10, 3, 4), "s2": Usage(0.25, 20, None, 6), "b1": Usage(None, 7, None, None)}
    assert taken(OWNERS, usages) == [Taken(SHOP, 0.75, 30, None, 10), Taken(BLOG, None, 7, None, None)]


def test_an_application_may_take_what_its_containers_may_take_where_each_has_a_limit() -> None:
    usages = {"s1": Usage(0.5, 10, 3, 4, 100, 0.5), "s2": Usage(0.5, 10, 3, 4, 100, None)}
    assert taken({"s1": SHOP, "s2": SHOP}, usages) == [Taken(SHOP, 1.0, 20, 6, 8, 200, None)]


def test_a_container_that_has_ended_is_left_out_of_the_sum() -> None:
    assert taken(OWNERS, {"s1": Usage(0.5, 10, 3, 4), "s2": None, "b1": None}) == [Taken(SHOP, 0.5, 10, 3, 4)]


def test_a_sum_that_would_be_too_small_is_none() -> None:
    assert taken(OWNERS, {"s1": Usage(0.5, 10, 3, 4), "b1": Usage(0.1, 7, 0, 0)}) == [Taken(BLOG, 0.1, 7, 0, 0)]
