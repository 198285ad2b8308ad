"""The file of a backup: written beside its place until it is known to be good, and read in pieces."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from gateway.plane.errors import Busy, NoFile, NotForTerminals
from models.settings import settings

STANDARD: Final = "-"
"""Names standard output or standard input."""
PART: Final = ".part"
"""How the name of a file ends that is being written."""
PIECE: Final = 1 << 20


class Draft:
    """A file that is not yet in its place."""

    def __init__(self, file: IO[bytes], place: Callable[[], None]) -> None:
        self._file, self._place = file, place

    def write(self, chunks: Iterable[bytes]) -> int:
        """Write it whole, onto the disk. How many bytes it has."""
        for chunk in chunks:
            self._file.write(chunk)
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def read(self) -> Iterator[bytes]:
        """What the disk has of it."""
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return pieces(self._file)

    def place(self) -> None:
        """Put it where it belongs."""
        self._place()


@contextmanager
def draft(name: str) -> Iterator[Draft]:
    """A new file of that name, which is there only once it is placed; `-` is copied to standard output then.

    Raises `Busy`, `NotForTerminals` and `OSError`; without its end nothing is left.
    """
    if name != STANDARD:
        with _part(Path(name)) as made:
            yield made
        return
    if sys.stdout.isatty():
        raise NotForTerminals
    with _temporary() as file:

        def place() -> None:
            file.seek(0)
            shutil.copyfileobj(file, sys.stdout.buffer, PIECE)
            sys.stdout.buffer.flush()

        yield Draft(file, place)


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """A file to read more than once; for `-` what comes from standard input is kept meanwhile. Raises `NoFile` and `OSError`."""
    if name == STANDARD:
        with _temporary() as file:
            shutil.copyfileobj(sys.stdin.buffer, file, PIECE)
            yield file
        return
    if not Path(name).exists():
        raise NoFile(f"There is no file {name}.")
    with Path(name).open("rb") as file:
        yield file


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file from its beginning."""
    file.seek(0)
    while piece := file.read(PIECE):
        yield piece


@contextmanager
def _part(path: Path) -> Iterator[Draft]:
    part = path.with_name(f"{path.name}{PART}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory")
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w+b") as file:
        _hold(file, part)
        os.fchmod(file.fileno(), 0o600)

        def place() -> None:
            part.replace(path)
            _sync(path.parent)

        try:
            yield Draft(file, place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _hold(file: IO[bytes], part: Path) -> None:
    """Be the only one who writes it: what a killed process has left is written over."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), part.lstat()):
            file.truncate(0)
            return
    except (BlockingIOError, FileNotFoundError):
        pass
    raise Busy(f"Another backup is being written to {part}.")


def _temporary() -> IO[bytes]:
    """A file without a name, on the disk of the installation if there is one: temporary directories may be kept in memory."""
    data = settings().data
    return tempfile.TemporaryFile(dir=data if data.is_dir() and os.access(data, os.W_OK) else None)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
