"""Backups in a folder of this machine, which only its owner may read."""

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from obstore.exceptions import BaseError

from models.backup_storage.contract import (
    PIECE,
    NoObject,
    Source,
    Storage,
    StorageFailed,
    StorageFull,
    StorageRefused,
    StorageUnreachable,
)

PARTIAL: Final = ".partial"
"""How the names of files end that are being written. They begin with a dot, as no object's name does."""
RESERVE: Final = 128 << 20
"""Bytes that stay free on a disk: the servers of databases may lie on it, too, and end when they find none."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT: Final = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}


class Folder(Storage):
    """A folder; it is made when something is first written."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def remove_partial(self, older_than_seconds: float) -> int:
        """Remove what killed processes have left of objects that they were writing, untouched for so long; how many there were."""
        removed, before = 0, time.time() - older_than_seconds
        with self._failing():
            for draft in list(self._root.rglob(f".*{PARTIAL}")):
                with suppress(FileNotFoundError):
                    if draft.stat().st_mtime <= before:
                        draft.unlink()
                        removed += 1
        return removed

    def _write(self, name: str, source: Source) -> None:
        target = self._root / name
        _make(target.parent)
        draft = target.with_name(f".{secrets.token_hex(16)}{PARTIAL}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for chunk in source:
                    file.write(chunk)
                    _leave_room(file.fileno())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(target.parent)

    def _read(self, name: str, start: int, end: int | None) -> Iterator[bytes]:
        with (self._root / name).open("rb", buffering=0) as file:
            file.seek(start)
            left = None if end is None else max(end - start, 0)
            while piece := file.read(PIECE if left is None else min(PIECE, left)):
                yield piece
                left = None if left is None else left - len(piece)

    def _size(self, name: str) -> int:
        with (self._root / name).open("rb") as file:
            return os.fstat(file.fileno()).st_size

    def _delete(self, name: str) -> None:
        target = self._root / name
        target.unlink()
        _sync(target.parent)

    def _names(self, folder: str) -> Iterator[str]:
        def told(error: OSError) -> None:
            if error.errno not in _ABSENT:
                raise error

        for place, _, files in os.walk(self._root / folder, onerror=told):
            inside = Path(place).relative_to(self._root)
            yield from ((inside / file).as_posix() for file in files)

    def _failure(self, error: OSError | BaseError, *, writing: bool = False) -> StorageFailed:
        number = error.errno if isinstance(error, OSError) else None
        if number in _ABSENT and not writing:
            return NoObject()
        failure = StorageFull if number in _FULL else StorageRefused if number in _REFUSED else StorageUnreachable
        return failure(os.strerror(number) if number else "")


def _make(folder: Path) -> None:
    """Make a folder, and those that it lies in, as one that only its owner may enter."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _leave_room(descriptor: int) -> None:
    told = os.fstatvfs(descriptor)
    if told.f_bavail * told.f_frsize < RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync(folder: Path) -> None:
    """Have the disk hold what the folder lists."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
