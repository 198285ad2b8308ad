"""The directory of a demo: known by a marker file, held while the demo runs, and never anything else wiped."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.embedded.directory import held
from gateway.embedded.errors import EmbeddedError

MARKER: Final = "dokploy-demo"
STACK: Final = "stack"
"""The data directory of the demo's installation."""


class NotTheDemos(EmbeddedError):
    """This directory is not the demo's."""


@contextlib.contextmanager
def demo_directory(path: Path) -> Iterator[None]:
    """Hold `path` with nothing but the marker in it: a new or empty directory, or that of an earlier demo, which is wiped.

    Raises `NotTheDemos` for any other, for one in use, and `AlreadyRunning` when its installation runs without its demo.
    """
    if path.exists() and not path.is_dir():
        raise NotTheDemos(f"{path} is not a directory")
    path.mkdir(parents=True, exist_ok=True)
    marker = path / MARKER
    if any(path.iterdir()) and not (marker.is_file() and not marker.is_symlink()):
        raise NotTheDemos(f"{path} was not made by the demo, which wipes its directory: name another one with --data")
    with marker.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotTheDemos(f"a demo is already running on {path}") from None
        _wipe(path)
        yield


def remove(path: Path) -> None:
    """Remove the directory of a demo whose installation has ended."""
    shutil.rmtree(path, ignore_errors=True)


def _wipe(path: Path) -> None:
    # Held, so that what a killed installation left behind outside of it is cleared as well.
    if (path / STACK).is_dir():
        with held(path / STACK):
            _clear(path)
    _clear(path)


def _clear(path: Path) -> None:
    for each in path.iterdir():
        if each.name == MARKER:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
