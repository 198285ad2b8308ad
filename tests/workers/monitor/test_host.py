"""What is taken of a host: its processors since the last time, its memory and disk now, and what has passed from outside."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from workers.monitor.host import HostMeter, disk_of


@dataclass
class Counts:
    bytes_recv: int
    bytes_sent: int


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Counts]]:
    found: dict[str, Counts] = {}
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: found)
    yield found


def test_what_has_passed_between_two_times_is_told(interfaces: dict[str, Counts]) -> None:
    interfaces |= {"eth0": Counts(1000, 50), "ens5": Counts(10, 20)}
    meter = HostMeter("one", Path("/"))
    first = meter.measure()
    assert (first.node, first.network_rx, first.network_tx, first.cpu) == ("one", None, None, None)
    interfaces |= {"eth0": Counts(1500, 51), "ens5": Counts(11, 22)}
    second = meter.measure()
    assert (second.network_rx, second.network_tx) == (501, 3)


def test_what_passes_between_containers_is_left_out(interfaces: dict[str, Counts]) -> None:
    interfaces |= {"eth0": Counts(0, 0)}
    meter = HostMeter("one", Path("/"))
    meter.measure()
    inside = ("lo", "docker0", "docker_gwbridge", "br-9f86d081884c", "veth12ab34c")
    interfaces |= {"eth0": Counts(7, 8)} | {name: Counts(1 << 30, 1 << 30) for name in inside}
    second = meter.measure()
    assert (second.network_rx, second.network_tx) == (7, 8)


def test_counters_that_began_anew_say_nothing(interfaces: dict[str, Counts]) -> None:
    interfaces |= {"eth0": Counts(100, 100)}
    meter = HostMeter("one", Path("/"))
    meter.measure()
    interfaces |= {"eth0": Counts(5, 200)}
    second = meter.measure()
    assert (second.network_rx, second.network_tx) == (None, 100)


def test_processors_memory_and_disk_are_those_of_this_machine(tmp_path: Path) -> None:
    meter = HostMeter("one", tmp_path)
    meter.measure()
    sum(range(300_000))
    found = meter.measure()
    assert found.cores == psutil.cpu_count()
    assert found.cpu is not None and 0 <= found.cpu <= 1
    assert 0 < found.memory < psutil.virtual_memory().total
    assert found.disk == pytest.approx(psutil.disk_usage(str(tmp_path)).used, rel=0.05)


def test_the_disk_is_the_engines_where_it_is_seen(tmp_path: Path) -> None:
    assert disk_of(str(tmp_path)) == tmp_path
    assert disk_of(str(tmp_path / "elsewhere")) == disk_of("") == Path("/")
