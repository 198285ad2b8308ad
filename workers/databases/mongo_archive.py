"""MongoDB's archives (`mongodump --archive`), read to see whether one is whole: the tools' own dry run takes a damaged one.

A magic number, then BSON: a header, a document for each collection, a terminator; then blocks of `{db, collection, EOF, CRC}`, the
collection's documents and a terminator. The block that ends a collection has no documents and the CRC-64 (ECMA) of all that came before.
Views have no documents, and may lack such a block; the documents of a time series are those of its buckets, a collection of another name.
"""

import struct
from typing import Any, Final

import bson
from fastcrc.crc64 import xz

from workers.databases.contract import Damaged

_MAGIC: Final = struct.pack("<I", 0x8199E26D)
_SIZE: Final = struct.Struct("<i")
_TERMINATOR: Final = -1
"""In the place of a document's size."""
_SMALLEST, _LARGEST = 5, 16 * 1024 * 1024 + 65_536
"""Bytes of a document."""
_BUCKETS: Final = "system.buckets."

Name = tuple[str, str]
"""Of a database and a collection."""


class Archive:
    """One archive, as it comes."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._magic = self._header = self._prelude = False
        """Whether each of them has come."""
        self._expected: set[Name] = set()
        self._ended: set[Name] = set()
        self._sums: dict[Name, int] = {}
        self._block: Name | None = None
        self._ends = False
        """Whether the block is the one that ends its collection."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Damaged`."""
        self._pending += data
        at = 0
        if not self._magic:
            if len(self._pending) < len(_MAGIC):
                return
            if self._pending[: len(_MAGIC)] != _MAGIC:
                raise Damaged
            self._magic, at = True, len(_MAGIC)
        with memoryview(self._pending) as view:
            while len(view) - at >= _SIZE.size:
                (size,) = _SIZE.unpack_from(view, at)
                if size == _TERMINATOR:
                    self._terminated()
                    at += _SIZE.size
                    continue
                if not _SMALLEST <= size <= _LARGEST:
                    raise Damaged
                if len(view) - at < size:
                    break
                self._document(view[at : at + size])
                at += size
        del self._pending[:at]

    def finish(self) -> None:
        """Say that there are no more. Raises `Damaged` when a collection has not come to its end."""
        if not self._prelude or self._pending or self._block or self._expected or self._sums:
            raise Damaged

    def _document(self, raw: memoryview) -> None:
        if self._block is not None:
            if self._ends:
                raise Damaged
            self._sums[self._block] = xz(raw, self._sums.get(self._block, 0))
        elif self._prelude:
            self._begin(_decoded(raw))
        elif self._header:
            told = _decoded(raw)
            if (name := _named(told)) and told.get("type") != "view":
                self._expected.add(name)
        else:
            _decoded(raw)
            self._header = True

    def _begin(self, told: dict[str, Any]) -> None:
        """Begin a block; the one that ends a collection is checked at once."""
        self._block, self._ends = _named(told), told.get("EOF") is True
        if self._block in self._ended:
            raise Damaged
        if self._ends:
            told_sum = told.get("CRC")
            if not isinstance(told_sum, int) or self._sums.pop(self._block, 0) != told_sum & 0xFFFF_FFFF_FFFF_FFFF:
                raise Damaged
            self._ended.add(self._block)
            self._expected.discard(self._block)

    def _terminated(self) -> None:
        if self._block is not None:
            self._block = None
        elif self._header and not self._prelude:
            self._prelude = True
        else:
            raise Damaged


def _decoded(raw: memoryview) -> dict[str, Any]:
    try:
        return dict(bson.decode(bytes(raw)))
    except (bson.errors.BSONError, ValueError, OverflowError, RecursionError) as error:
        raise Damaged from error


def _named(told: dict[str, Any]) -> Name:
    """A collection's name; that of a time series for its buckets, which no prelude names by themselves."""
    database, collection = told.get("db"), told.get("collection")
    if not isinstance(database, str) or not isinstance(collection, str) or not collection:
        raise Damaged
    return database, collection.removeprefix(_BUCKETS)
