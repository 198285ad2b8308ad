"""What a Docker Engine that died without cleaning up leaves behind, and how it is cleared away.

A dead engine's files name process ids that meanwhile belong to others, which keeps the next `dockerd` from starting, or lets it wait for
a containerd that is not there. Its shims and the containers below them go on running without anybody who could stop them.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import processes
from gateway.embedded.processes import Process
from gateway.embedded.supervisor import Report, say

OWNER: Final = "DOKPLOY_ENGINE_OWNER"
"""In the environment of a `dockerd` that we started: our process id."""
_LEAVE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Home:
    """Where an engine keeps its things; the defaults are those of `dockerd`."""

    socket: Path = Path("/var/run/docker.sock")
    pid_file: Path = Path("/var/run/docker.pid")
    exec_root: Path = Path("/var/run/docker")
    data_root: Path = Path("/var/lib/docker")
    flags: tuple[str, ...] = ()
    """More flags for `dockerd`."""

    @property
    def containerd(self) -> Path:
        """Directory of the containerd that `dockerd` starts for itself."""
        return self.exec_root / "containerd"


def living_daemon(home: Home) -> Process | None:
    """The `dockerd` that the pid file names, if that is what the process is."""
    try:
        process = processes.find(int(home.pid_file.read_text()))
    except (OSError, ValueError):
        return None
    return process if process and process.name == "dockerd" else None


def orphaned_daemon(home: Home) -> Process | None:
    """A `dockerd` whose `dokploy up` was killed: the kernel told it to end, so it may still answer but will not for long."""
    daemon = living_daemon(home)
    owner = processes.environment(daemon.pid).get(OWNER) if daemon else None
    return daemon if daemon and owner and owner != str(daemon.parent) else None


async def clear(home: Home, report: Report = say) -> None:
    """Kill and remove what a dead engine of `home` left; nothing while its `dockerd` lives."""
    if living_daemon(home):
        return
    if left := sorted({process.name for process in _processes(home)}):
        report(f"clearing up after a Docker Engine that died: {', '.join(left)}")
        processes.kill(_processes(home))
        await processes.gone(lambda: _processes(home), _LEAVE_SECONDS)
    for file in stale_files(home):
        file.unlink(missing_ok=True)


def stale_files(home: Home) -> list[Path]:
    """Files that would mislead the next `dockerd`, given that neither it nor its containerd runs."""
    return [home.pid_file, *(home.containerd / f"containerd{end}" for end in (".pid", ".sock", ".sock.ttrpc", "-debug.sock"))]


def remains(home: Home, everything: Iterable[Process]) -> list[Process]:
    """Of all processes, those that belonged to the dead engine of `home`: its containerd, shims with their containers, port proxies."""
    everything = list(everything)
    by_pid = {process.pid: process for process in everything}
    shims = [process for process in everything if _is_shim_of(process, home)]
    return [
        *(process for process in everything if _is_containerd_of(process, home)),
        *_descendants(shims, everything),
        *shims,
        *(process for process in everything if process.name == "docker-proxy" and not _has_daemon(process, by_pid)),
    ]


def _processes(home: Home) -> list[Process]:
    return remains(home, processes.running())


def _is_containerd_of(process: Process, home: Home) -> bool:
    return process.name == "containerd" and _names(process, home.containerd / "containerd.toml")


def _is_shim_of(process: Process, home: Home) -> bool:
    return process.name.startswith("containerd-shim") and _names(process, home.containerd / "containerd.sock")


def _names(process: Process, path: Path) -> bool:
    # Compared by their real paths: /var/run is a link to /run, and who writes which varies.
    return any(os.path.realpath(part) == os.path.realpath(path) for part in process.argv if part.startswith("/"))


def _has_daemon(process: Process, by_pid: dict[int, Process]) -> bool:
    return process.parent in by_pid and by_pid[process.parent].name == "dockerd"


def _descendants(ancestors: Iterable[Process], everything: list[Process]) -> Iterator[Process]:
    for ancestor in ancestors:
        children = [process for process in everything if process.parent == ancestor.pid]
        yield from _descendants(children, everything)
        yield from children
