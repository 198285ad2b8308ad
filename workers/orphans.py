"""Processes that outlive their worker: the kernel ends its children with it, and here their children are found by a mark they inherit."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import structlog

from workers.processes import MARK, identity
from workers.runtime import Runtime

log = structlog.get_logger()

PROC = Path("/proc")


async def end(runtime: Runtime) -> None:
    """End the processes on this host whose worker has died."""
    for pid, owner in await asyncio.to_thread(lambda: list(marked(PROC))):
        if _is_dead(owner):
            log.warning("orphans.found", pid=pid, worker=owner)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def marked(proc: Path) -> Iterator[tuple[int, str]]:
    """The processes that carry the mark, and the identity of the worker that it names."""
    key = f"{MARK}=".encode()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for variable in (entry / "environ").read_bytes().split(b"\0"):
                if variable.startswith(key):
                    yield int(entry.name), variable.removeprefix(key).decode(errors="replace")


def _is_dead(owner: str) -> bool:
    """Whether a worker has died; one of another namespace is not ours to judge."""
    namespace, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    ours = identity(os.getpid()) or ""
    return pid.isdigit() and ours.startswith(f"{namespace}/") and identity(int(pid)) != owner
