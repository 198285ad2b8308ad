"""MongoDB's archives (`mongodump --archive`), read to see whether one is whole: the tools' own dry run takes a damaged one.

A magic number, then BSON: a header, a document for each collection, a terminator; then blocks of `{db, collection, EOF, CRC}`, the
collection's documents and a terminator. The block that ends a collection has the CRC-64 (ECMA) of all of its documents.
"""

import struct
from typing import Any, Final

import bson
from fastcrc.crc64 import xz

from workers.databases.contract import Damaged

_MAGIC: Final = struct.pack("<I", 0x8199E26D)
_TERMINATOR: Final = b"\xff\xff\xff\xff"
_SMALLEST, _LARGEST = 5, 16 * 1024 * 1024 + 65_536
"""Bytes of a document."""


class Archive:
    """One archive, as it comes."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._magic = False
        self._header = self._prelude = True
        self._expected: set[tuple[str, str]] = set()
        self._sums: dict[tuple[str, str], int] = {}
        self._current: tuple[str, str] | None = None
        self._ends: int | None = None
        """The sum that the block said which ends a collection."""
        self._in_block = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Damaged`."""
        self._pending += data
        at = 0
        if not self._magic:
            if len(self._pending) < len(_MAGIC):
                return
            if self._pending[:4] != _MAGIC:
                raise Damaged
            self._magic, at = True, len(_MAGIC)
        view = memoryview(self._pending)
        while len(view) - at >= len(_TERMINATOR):
            if bytes(view[at : at + 4]) == _TERMINATOR:
                self._terminated()
                at += 4
                continue
            (size,) = struct.unpack_from("<i", view, at)
            if not _SMALLEST <= size <= _LARGEST:
                raise Damaged
            if len(view) - at < size:
                break
            self._document(bytes(view[at : at + size]))
            at += size
        view.release()
        del self._pending[:at]

    def finish(self) -> None:
        """Say that there are no more. Raises `Damaged` when a collection has not come to its end."""
        if self._prelude or self._pending or self._in_block or self._expected:
            raise Damaged

    def _document(self, raw: bytes) -> None:
        if self._header:
            self._header = False
        elif self._prelude:
            told = self._decoded(raw)
            if told.get("type", "collection") != "view":
                self._expected.add(self._named(told))
        elif not self._in_block:
            self._in_block = True
            told = self._decoded(raw)
            self._current = self._named(told)
            self._ends = int(told.get("CRC", 0)) & 0xFFFF_FFFF_FFFF_FFFF if told.get("EOF") else None
        elif self._current is not None:
            self._sums[self._current] = xz(raw, self._sums.get(self._current, 0))

    def _terminated(self) -> None:
        if self._prelude:
            self._prelude = False
            return
        if not self._in_block or self._current is None:
            raise Damaged
        if self._ends is not None:
            if self._sums.pop(self._current, 0) != self._ends:
                raise Damaged
            self._expected.discard(self._current)
        self._in_block, self._current, self._ends = False, None, None

    def _decoded(self, raw: bytes) -> dict[str, Any]:
        try:
            return dict(bson.decode(raw))
        except bson.errors.InvalidBSON as error:
            raise Damaged from error

    def _named(self, told: dict[str, Any]) -> tuple[str, str]:
        return str(told.get("db", "")), str(told.get("collection", ""))
