"""What is taken of the host itself, whoever takes it."""

import shutil
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from models.metrics import Host

INSIDE: Final = ("lo", "veth", "docker", "br-", "vxlan", "ov-")
"""What the names of interfaces begin with that lead nowhere but to containers; what passes them has passed another one, or stays here."""


def disk_of(data_root: str) -> Path:
    """Where the disk is that images and volumes are on; what runs in a container itself does not see them, but is on the same disk."""
    return Path(data_root) if data_root and Path(data_root).is_dir() else Path("/")


class HostMeter:
    """Measures the host, round by round."""

    def __init__(self, node: str, disk: Path) -> None:
        self._node, self._disk = node, disk
        self._last: tuple[int, int] | None = None
        psutil.cpu_percent()  # from here on it says what was used since it was asked last

    def measure(self) -> Host:
        """What is taken, and what has passed since the last time, of which nothing is known at the first one."""
        memory = psutil.virtual_memory()
        cpu, (received, sent) = psutil.cpu_percent() / 100, _passed()
        last, self._last = self._last, (received, sent)
        return Host(
            node=self._node,
            cores=psutil.cpu_count() or 1,
            cpu=None if last is None else cpu,
            memory=memory.total - memory.available,
            disk=shutil.disk_usage(self._disk).used,
            network_rx=None if last is None or received < last[0] else received - last[0],
            network_tx=None if last is None or sent < last[1] else sent - last[1],
        )


def _passed() -> tuple[int, int]:
    """Bytes that were received and sent since the host began."""
    outside = [counts for name, counts in psutil.net_io_counters(pernic=True).items() if not name.startswith(INSIDE)]
    return sum(each.bytes_recv for each in outside), sum(each.bytes_sent for each in outside)
