"""The data directory of one installation: held by one process at a time, with a short runtime directory for its sockets."""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from gateway.embedded import processes
from gateway.embedded.errors import EmbeddedError

PREFIX: Final = "dokploy-"
MARK: Final = "DOKPLOY_STACK"
RECORD: Final = "runtime"
"""File in a data directory that names the temporary directories outside of it, one a line."""
SOCKET_PATH_LIMIT: Final = 107
"""Bytes a unix socket's path may have (`sun_path` less its NUL)."""
LONGEST_SOCKET: Final = "/postgres/.s.PGSQL.5432"
"""The longest socket below a runtime directory."""


class AlreadyRunning(EmbeddedError):
    """Dokploy is already running on this directory."""


class NoRuntimeDirectory(EmbeddedError):
    """There is no directory to put sockets into: set XDG_RUNTIME_DIR to a short, writable one."""


class DataDirectory:
    """`path`, held by us, and what lies outside it for as long as we run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = secrets.token_hex(8)
        """Goes as `DOKPLOY_STACK` into the environment of our commands, so that the next start knows what a kill made orphans of."""
        self._record = path / RECORD
        """What the next start removes if we cannot."""

    @property
    def logs(self) -> Path:
        """Directory of the servers' logs."""
        return self.path / "logs"

    def runtime(self) -> Path:
        """Make the runtime directory. Raises `NoRuntimeDirectory`.

        Each server has its own 0700 directory in it. As root it can itself be crossed, for servers that run under another user.
        """
        root = os.geteuid() == 0
        return self.temporary(runtime_parents(os.environ, root=root), 0o711 if root else 0o700)

    def temporary(self, parents: Iterable[Path], mode: int) -> Path:
        """A new directory in the first of `parents` that takes one; removed at the end. Raises `NoRuntimeDirectory`."""
        for parent in parents:
            made = parent / f"{PREFIX}{secrets.token_hex(4)}"
            # Recorded before it is made: there is no moment at which a kill would leave it behind unknown.
            with self._record.open("a") as record:
                record.write(f"{made}\n")
            with contextlib.suppress(OSError):
                made.mkdir(mode=0o700)
                made.chmod(mode)
                return made
        raise NoRuntimeDirectory

    def remove_temporary(self) -> None:
        """Remove every directory that `temporary` made, now or in a process that was killed."""
        for directory in recorded(self.path):
            _remove_ours(directory)
        self._record.unlink(missing_ok=True)


@contextlib.contextmanager
def held(path: Path) -> Iterator[DataDirectory]:
    """Make `path` (0700; parents keep their modes) and hold it; the leftovers of a killed holder are removed. Raises `AlreadyRunning`."""
    path = path.absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (path / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().split() or ["unknown"]
            raise AlreadyRunning(f"dokploy is already running on {path} (process {holder[0]})") from None
        lock.seek(0)
        kill_marked(lock.read().split()[1:])
        directory = DataDirectory(path)
        lock.truncate(0)
        lock.write(f"{os.getpid()} {directory.mark}\n")
        lock.flush()
        directory.remove_temporary()
        try:
            yield directory
        finally:
            directory.remove_temporary()
            lock.truncate(0)


def recorded(path: Path) -> list[Path]:
    """The temporary directories of whoever holds a data directory, or did when they were killed."""
    with contextlib.suppress(FileNotFoundError):
        return [Path(line) for line in (path / RECORD).read_text().splitlines()]
    return []


def runtime_parents(environ: Mapping[str, str], *, root: bool) -> list[Path]:
    """Where a runtime directory may be made, best first; too long ones are left out."""
    places = ["/run"] if root else [environ.get("XDG_RUNTIME_DIR", "")]
    places += [tempfile.gettempdir(), "/tmp"]  # noqa: S108 — the directory made there is 0700 with an unguessable name
    room = SOCKET_PATH_LIMIT - len(LONGEST_SOCKET) - len(f"/{PREFIX}01234567")
    return [Path(place) for place in places if place and len(os.fsencode(place)) <= room]


def kill_marked(marks: Iterable[str]) -> None:
    """Kill the processes that carry one of `marks`.

    Our own children end with us, but not theirs: a build that the worker started would go on beside the new worker.
    """
    wanted = set(marks)
    processes.kill([each for each in processes.running() if wanted and processes.environment(each.pid).get(MARK) in wanted])


def write_readable(path: Path, text: str) -> None:
    """Write a file that a server under another user reads, whatever our umask."""
    path.write_bytes(os.fsencode(text))
    path.chmod(0o644)


def _remove_ours(path: Path) -> None:
    """Remove a directory that a record names, if it is one that we could have made."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if path.name.startswith(PREFIX) and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)
