"""What a storage for backups does, and how it fails."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from obstore.exceptions import BaseError

LONGEST: Final = 255
"""Characters of a name."""
PIECE: Final = 1 << 20
"""Bytes that are read at once."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")


class StorageFailed(Exception):
    """The storage for backups failed."""

    code: ClassVar[str] = "STORAGE_FAILED"

    def __init__(self, detail: str = "") -> None:
        sentence = self.__class__.__doc__ or ""
        super().__init__(f"{sentence.removesuffix('.')} ({detail})." if detail else sentence)


class NoStorage(StorageFailed):
    """No bucket for backups is configured."""

    code = "STORAGE_NOT_CONFIGURED"


class StorageFull(StorageFailed):
    """The storage for backups has no room left."""

    code = "STORAGE_FULL"


class StorageUnreachable(StorageFailed):
    """The storage for backups cannot be reached or does not work."""

    code = "STORAGE_UNREACHABLE"


class StorageRefused(StorageFailed):
    """The storage for backups refuses: its credentials, its bucket or the rights of its folder are wrong."""

    code = "STORAGE_REFUSED"


class NoObject(StorageFailed):
    """The backup is not in its storage."""

    code = "BACKUP_MISSING"


class Source(Iterator[bytes]):
    """What is to be written: how much of it has come, and what it raised, which no failure of the storage may be taken for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.size = 0
        self.error: BaseException | None = None

    def __next__(self) -> bytes:
        """The next of it."""
        try:
            chunk = next(self._chunks)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise
        self.size += len(chunk)
        return chunk


class Storage(ABC):
    """Objects by name: parts with slashes between them, each of `a-z`, `0-9`, `.`, `_` and `-` and beginning with a letter or digit.

    Whatever is done raises `StorageFailed` when it fails, and ValueError for what is no name.
    """

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write an object, in place of one that has this name, and return its size.

        It exists only once `chunks` has ended. What `chunks` raises is raised unchanged, and nothing is left of what had come.
        """
        source = Source(chunks)
        try:
            self._write(_checked(name), source)
        except Exception as error:
            if source.error is not None and error is not source.error:
                raise source.error  # noqa: B904 - what went wrong while cleaning up is its context, and its cause stays its own
            if error is not source.error and isinstance(error, OSError | BaseError):
                raise self._failure(error, writing=True) from None
            raise
        return source.size

    def read(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but without `end`, as many of them as there are; errors, too, come with the iteration."""
        with self._failing():
            yield from self._read(_checked(name), start, end)

    def size(self, name: str) -> int:
        """How many bytes an object has."""
        with self._failing():
            return self._size(_checked(name))

    def delete(self, name: str) -> None:
        """Delete an object; absent is fine."""
        try:
            with self._failing():
                self._delete(_checked(name))
        except NoObject:
            pass

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with a prefix, sorted."""
        folder = prefix.rpartition("/")[0]
        with self._failing():
            found = self._names(_checked(folder) if folder else "")
            return sorted(name for name in found if name.startswith(prefix) and _NAME.fullmatch(name))

    @abstractmethod
    def remove_partial(self, older_than_seconds: float) -> int:
        """Remove what killed processes have left of objects that they were writing, untouched for so long; how many there were."""

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, BaseError) as error:
            raise self._failure(error) from None

    @abstractmethod
    def _write(self, name: str, source: Source) -> None: ...

    @abstractmethod
    def _read(self, name: str, start: int, end: int | None) -> Iterator[bytes]: ...

    @abstractmethod
    def _size(self, name: str) -> int: ...

    @abstractmethod
    def _delete(self, name: str) -> None: ...

    @abstractmethod
    def _names(self, folder: str) -> Iterator[str]: ...

    @abstractmethod
    def _failure(self, error: OSError | BaseError, *, writing: bool = False) -> StorageFailed: ...


def _checked(name: str) -> str:
    if len(name) > LONGEST or ".." in name or not _NAME.fullmatch(name):
        raise ValueError(f"no name of a backup: {name!r:.80}")
    return name
