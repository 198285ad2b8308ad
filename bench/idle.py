"""What an idle installation costs: how long the 202 takes, and how much memory its processes hold."""

import asyncio
import math
import time
from collections import Counter
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from gateway.demo.client import Client

REQUESTS = 200
PAUSE = 0.05
"""Seconds between two requests: what the last one rang for is over by then."""
IDLE_SECONDS = 20.0
_ENGINE = frozenset({"dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-proxy"})
_ROLES = ("worker", "gateway", "edge", "monitor", "up")


async def latencies(client: Client, application: str) -> list[float]:
    """Seconds from each of 200 requests for a deployment to its 202, sorted. None of the deployments does any work."""
    seconds = []
    for _ in range(REQUESTS):
        began = time.monotonic()
        await client.post(f"/applications/{application}/deploy", {})
        seconds.append(time.monotonic() - began)
        await asyncio.sleep(PAUSE)
    return sorted(seconds)


def percentile(ordered: list[float], percent: int) -> float:
    """The nearest-rank percentile."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


async def memory() -> Counter[str]:
    """PSS in bytes of all processes of the installation this process started, by what they are, after a while without work."""
    await asyncio.sleep(IDLE_SECONDS)
    found: Counter[str] = Counter()
    for child in psutil.Process().children():
        if "gateway.cli" in child.cmdline():
            _add(child, found)
    return found


def _add(process: psutil.Process, found: Counter[str]) -> None:
    """Add a process and what it has started; the Docker Engine, which `up` may have started too, is left out."""
    if process.name() in _ENGINE:
        return
    found[_role(process)] += _pss(process.pid)
    for child in process.children():
        _add(child, found)


def _role(process: psutil.Process) -> str:
    command = process.cmdline()
    if "gateway.cli" in command:
        return next(role for role in _ROLES if role in command)
    return str(process.name())


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
