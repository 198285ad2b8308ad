"""The inside of an archive: a manifest, the keys, each table's rows as Postgres copies them out, the sequences, and the end.

It is a row of frames: one byte that says what it is, the length of what follows in four bytes, and that. Rows are in the text format of
COPY, which every Postgres reads: one line each, since a line break in a value is escaped.
"""

import hashlib
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from models.plane.errors import Damaged, NewerBackup

FORMAT: Final = 1
"""Of the archives that are written; later ones are not read."""
BATCH: Final = 1 << 18
"""Bytes of rows in a frame."""
LONGEST: Final = 1 << 24
"""Bytes that a frame may have."""
_HEAD: Final = struct.Struct(">cI")

Emit = Callable[[bytes], Awaitable[None]]
"""Takes the next bytes."""
Found = TypeVar("Found", bound=msgspec.Struct)


class Mark(Enum):
    """What a frame is."""

    manifest = b"M"
    keys = b"K"
    table = b"T"
    rows = b"R"
    sums = b"E"
    sequences = b"S"
    end = b"Z"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when it was taken."""

    format: int = FORMAT
    dokploy: str
    """The version that took it."""
    migration: str
    """The last migration that the database had."""
    taken_at: datetime
    installation: UUID | None
    """None of a database from before there was one."""
    postgres: str


class Keys(msgspec.Struct, frozen=True):
    """What an installation cannot do without; nothing where it has none yet."""

    secret_keys: tuple[str, ...]
    """Newest first."""
    token_key: str | None


class Table(msgspec.Struct, frozen=True):
    """Whose rows follow."""

    name: str
    columns: tuple[str, ...]


class Sums(msgspec.Struct, frozen=True):
    """What the rows of a table were, or of all tables."""

    rows: int
    size: int
    """Bytes."""
    checksum: str
    """SHA-256 in hexadecimal digits; of all tables, that of theirs."""


class Sequences(msgspec.Struct, frozen=True):
    """The last value of each sequence, and whether it was given away."""

    values: dict[str, tuple[int, bool]]


class Contents(msgspec.Struct, frozen=True):
    """Everything but the rows."""

    manifest: Manifest
    keys: Keys
    tables: dict[str, Sums]
    sequences: Sequences
    total: Sums


Item = Manifest | Keys | Table | bytes | Sums | Sequences


class Counter:
    """Counts rows and bytes of one table after another."""

    def __init__(self) -> None:
        self.tables: dict[str, Sums] = {}
        self.begin("")

    def begin(self, name: str) -> None:
        """Another table."""
        self._name, self._rows, self._size, self._hash = name, 0, 0, hashlib.sha256()

    def take(self, rows: bytes) -> None:
        """Some of its rows."""
        self._rows += rows.count(b"\n")
        self._size += len(rows)
        self._hash.update(rows)

    def end(self) -> Sums:
        """What they were."""
        sums = self.tables[self._name] = Sums(self._rows, self._size, self._hash.hexdigest())
        return sums

    def total(self) -> Sums:
        """What all were."""
        checksum = hashlib.sha256("".join(f"{name} {each.checksum}\n" for name, each in self.tables.items()).encode()).hexdigest()
        return Sums(sum(each.rows for each in self.tables.values()), sum(each.size for each in self.tables.values()), checksum)


class Writer:
    """Writes an archive; the order in which its methods are to be called is theirs here."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._counter = Counter()
        self._rows = bytearray()

    async def begin(self, manifest: Manifest, keys: Keys) -> None:
        """What comes first."""
        self._manifest, self._keys = manifest, keys
        await self._put(Mark.manifest, manifest)
        await self._put(Mark.keys, keys)

    async def table(self, table: Table) -> None:
        """A table begins."""
        self._counter.begin(table.name)
        await self._put(Mark.table, table)

    async def rows(self, rows: bytes) -> None:
        """Some of its rows, however they are cut."""
        self._rows += rows
        while len(self._rows) >= BATCH:
            await self._send(bytes(self._rows[:BATCH]))
            del self._rows[:BATCH]

    async def end_table(self) -> Sums:
        """It has no more."""
        if self._rows:
            await self._send(bytes(self._rows))
            self._rows.clear()
        sums = self._counter.end()
        await self._put(Mark.sums, sums)
        return sums

    async def end(self, sequences: Sequences) -> Contents:
        """What comes last. What was written."""
        total = self._counter.total()
        await self._put(Mark.sequences, sequences)
        await self._put(Mark.end, total)
        return Contents(self._manifest, self._keys, self._counter.tables, sequences, total)

    async def _send(self, rows: bytes) -> None:
        self._counter.take(rows)
        await self._emit(_HEAD.pack(Mark.rows.value, len(rows)) + rows)

    async def _put(self, mark: Mark, content: msgspec.Struct) -> None:
        encoded = msgspec.json.encode(content)
        await self._emit(_HEAD.pack(mark.value, len(encoded)) + encoded)


def items(chunks: Iterable[bytes]) -> Iterator[Item]:
    """What is in an archive, one after the other; that it is whole and as it was written is known when it ends.

    Raises `NewerBackup` for a later format, and `Damaged`.
    """
    frames, counter = _frames(chunks), Counter()
    yield _manifest(next(frames, None))
    yield _decoded(next(frames, None), Mark.keys, Keys)
    inside = False
    for mark, content in frames:
        if mark is Mark.rows and inside:
            counter.take(content)
            yield content
        elif mark is Mark.table and not inside:
            inside, table = True, _read(content, Table)
            counter.begin(table.name)
            yield table
        elif mark is Mark.sums and inside:
            inside, sums = False, _read(content, Sums)
            if sums != counter.end():
                raise Damaged
            yield sums
        elif inside:
            raise Damaged
        else:
            yield _decoded((mark, content), Mark.sequences, Sequences)
            break
    if _decoded(next(frames, None), Mark.end, Sums) != counter.total() or next(frames, None) is not None:
        raise Damaged


def checked(chunks: Iterable[bytes]) -> Contents:
    """Everything but the rows of an archive, which is read to its end. Raises what `items` raises."""
    found: dict[type, Any] = {}
    counter, name = Counter(), ""
    for item in items(chunks):
        if isinstance(item, Table):
            name = item.name
        elif isinstance(item, Sums):
            counter.tables[name] = item
        elif not isinstance(item, bytes):
            found[type(item)] = item
    return Contents(found[Manifest], found[Keys], counter.tables, found[Sequences], counter.total())


def _frames(chunks: Iterable[bytes]) -> Iterator[tuple[Mark, bytes]]:
    held, source = bytearray(), iter(chunks)

    def take(size: int) -> bytes:
        while len(held) < size:
            chunk = next(source, b"")
            if not chunk:
                raise Damaged
            held.extend(chunk)
        taken = bytes(held[:size])
        del held[:size]
        return taken

    while held or (chunk := next(source, b"")):
        if not held:
            held.extend(chunk)
        mark, size = _HEAD.unpack(take(_HEAD.size))
        if size > LONGEST:
            raise Damaged
        try:
            found = Mark(mark)
        except ValueError:
            raise Damaged from None
        yield found, take(size)


def _manifest(frame: tuple[Mark, bytes] | None) -> Manifest:
    """What a later format says of itself may be anything but its number."""
    if frame is None or frame[0] is not Mark.manifest:
        raise Damaged
    if _read(frame[1], _Format).format > FORMAT:
        raise NewerBackup
    return _read(frame[1], Manifest)


class _Format(msgspec.Struct):
    format: int


def _decoded(frame: tuple[Mark, bytes] | None, mark: Mark, kind: type[Found]) -> Found:
    if frame is None or frame[0] is not mark:
        raise Damaged
    return _read(frame[1], kind)


def _read(content: bytes, kind: type[Found]) -> Found:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError):
        raise Damaged from None
