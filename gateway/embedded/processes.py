"""The processes of this machine, as far as finding our own dead relatives needs it."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """What `/proc` says of one process; empty where we may not look."""

    pid: int
    parent: int
    name: str
    argv: tuple[str, ...]
    cwd: str


def running() -> Iterator[Process]:
    """Every process, zombies left out."""
    for entry in _PROC.iterdir() if _PROC.exists() else ():
        if entry.name.isdigit() and (process := find(int(entry.name))):
            yield process


def find(pid: int) -> Process | None:
    """The process with this id, unless it is gone or a zombie."""
    entry = _PROC / str(pid)
    try:
        # The name stands in brackets and may itself contain brackets and spaces.
        before, _, after = (entry / "stat").read_text(errors="replace").rpartition(")")
        argv = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return None
    state, parent = after.split()[:2]
    if state in "ZX":
        return None
    cwd = ""
    with contextlib.suppress(OSError):
        cwd = str((entry / "cwd").readlink())
    return Process(pid, int(parent), before.partition("(")[2], tuple(os.fsdecode(part) for part in argv), cwd)


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty where we may not look."""
    try:
        parts = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(os.fsdecode(part).split("=", 1) for part in parts if b"=" in part)


async def gone(find_them: Callable[[], list[Process]], seconds: float) -> bool:
    """Wait until `find_them` finds none. Whether that happened within `seconds`."""
    deadline = time.monotonic() + seconds
    while find_them():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def kill(processes: list[Process]) -> None:
    """SIGKILL to each that still exists."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
