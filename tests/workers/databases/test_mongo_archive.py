"""MongoDB's archives, written as `mongodump` writes them: whole, cut, and with a flipped bit."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import thread_time

import bson
import pytest
from bson.int64 import Int64
from fastcrc.crc64 import xz
from hypothesis import given
from hypothesis import strategies as st

from workers.databases.contract import Damaged
from workers.databases.mongo_archive import Archive

TERMINATOR = b"\xff\xff\xff\xff"
MAGIC = struct.pack("<I", 0x8199E26D)


@dataclass
class Written:
    """An archive, and where in it the documents of collections are."""

    data: bytes = b""
    documents: list[range] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)

    def prelude(self, *collections: tuple[str, str], **header: str) -> "Written":
        """The beginning: pairs of a collection and its type."""
        told = {"concurrent_collections": 1, "version": "0.1", "server_version": "7.0.1", "tool_version": "100.9.4"} | header
        self.data = MAGIC + bson.encode(told)
        for name, kind in collections:
            self.data += bson.encode({"db": "shop", "collection": name, "metadata": "{}", "size": 0, "type": kind})
        self.data += TERMINATOR
        return self

    def block(self, name: str, *documents: dict[str, object]) -> "Written":
        """Some documents of a collection."""
        self.data += bson.encode({"db": "shop", "collection": name, "EOF": False, "CRC": Int64(0)})
        for document in map(bson.encode, documents):
            self.documents.append(range(len(self.data), len(self.data) + len(document)))
            self.sums[name] = xz(document, self.sums.get(name, 0))
            self.data += document
        self.data += TERMINATOR
        return self

    def end(self, name: str) -> "Written":
        """The end of a collection."""
        (crc,) = struct.unpack("<q", struct.pack("<Q", self.sums.get(name, 0)))
        self.data += bson.encode({"db": "shop", "collection": name, "EOF": True, "CRC": Int64(crc)}) + TERMINATOR
        return self


def rows(*numbers: int) -> list[dict[str, object]]:
    return [{"_id": number, "name": f"item {number}", "price": number / 7} for number in numbers]


def small() -> Written:
    """Two collections in blocks that take turns, one that is empty, a view, and a time series."""
    kinds = [("items", "collection"), ("people", "collection"), ("nothing", "collection"), ("cheap", "view"), ("weather", "timeseries")]
    written = Written().prelude(*kinds)
    written.block("items", *rows(1, 2)).block("people", *rows(3)).block("items", *rows(4)).block("people", *rows(5, 6))
    written.end("people").block("nothing").end("nothing").end("items").end("cheap")
    return written.block("system.buckets.weather", *rows(7)).end("system.buckets.weather")


def whole(chunks: Iterable[bytes]) -> bool:
    """Whether it is found whole; nothing else than `Damaged` is raised."""
    archive = Archive()
    try:
        for chunk in chunks:
            archive.feed(chunk)
        archive.finish()
    except Damaged:
        return False
    return True


def test_a_whole_archive() -> None:
    assert whole([small().data])
    assert whole([Written().prelude().data])


def test_the_documents_of_a_time_series_may_have_its_own_name() -> None:
    assert whole([Written().prelude(("weather", "timeseries")).block("weather", *rows(1)).end("weather").data])


def test_a_view_may_have_an_end_or_none() -> None:
    assert whole([Written().prelude(("a", "view")).data])
    assert whole([Written().prelude(("a", "view")).end("a").data])


def test_an_end_needs_no_block_before_it() -> None:
    assert whole([Written().prelude(("a", "collection")).end("a").data])


def test_an_archive_cut_anywhere_is_damaged() -> None:
    data = small().data
    assert not [at for at in range(len(data)) if whole([data[:at]])]


def test_an_archive_with_something_behind_it_is_damaged() -> None:
    data = small().data
    assert not [size for size in range(1, 40) if whole([data + data[:size]])]
    assert not whole([data + TERMINATOR])


def test_a_flipped_bit_in_a_document_is_found() -> None:
    written = small()
    unnoticed = []
    for at in (at for document in written.documents for at in document):
        for bit in range(8):
            data = bytearray(written.data)
            data[at] ^= 1 << bit
            if whole([bytes(data)]):
                unnoticed.append((at, bit))
    assert not unnoticed


def test_a_flipped_bit_elsewhere_never_raises_anything_else() -> None:
    data = small().data
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            whole([bytes(flipped)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        MAGIC + TERMINATOR,
        b"\x1f\x8b" + MAGIC,
        Written().prelude(("a", "collection")).data + TERMINATOR,
        Written().prelude(("a", "collection")).block("a", *rows(1)).data,
        Written().prelude(("a", "timeseries")).data,
        Written().prelude(("a", "collection")).end("a").block("b", *rows(1)).data,
        Written().prelude(("a", "collection")).end("a").end("a").data,
        Written().prelude(("a", "collection")).end("a").block("a").data,
        Written().prelude(("", "collection")).data,
        Written().prelude(("a", "collection")).end("a").data.replace(b"\x12CRC\0", b"\x01CRC\0"),
        Written().prelude().data + bson.encode({"db": 1, "collection": "a"}) + TERMINATOR,
        Written().prelude().data + bson.encode({"db": "d", "collection": "a", "EOF": True}) + TERMINATOR,
        Written().prelude(("a", "collection")).end("a").data[:-4] + bson.encode({}) + TERMINATOR,
        Written().prelude().data + struct.pack("<i", 1 << 30),
        Written().prelude().data + struct.pack("<i", 4),
    ],
)
def test_what_is_no_archive(data: bytes) -> None:
    assert not whole([data])


@given(st.data())
def test_how_it_comes_does_not_matter(drawn: st.DataObject) -> None:
    data = small().data
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(data)), max_size=30)))
    assert whole(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=20), st.integers(1, 200))
def test_blocks_in_any_order(blocks: list[tuple[str, int]], size: int) -> None:
    written = Written().prelude(*((name, "collection") for name in "abc"))
    for name, number in blocks:
        written.block(name, *rows(*range(number)))
    for name in "cab":
        written.end(name)
    assert whole(written.data[at : at + size] for at in range(0, len(written.data), size))


def test_it_takes_time_in_proportion() -> None:
    def seconds(documents: int) -> float:
        written = Written().prelude(("a", "collection")).block("a", *rows(1))
        document = written.data[written.documents[0].start : written.documents[0].stop]
        written.data = written.data[:-4] + document * (documents - 1) + TERMINATOR
        written.sums["a"] = xz(document * documents)
        data = written.end("a").data
        began = thread_time()
        assert whole(data[at : at + 65_536] for at in range(0, len(data), 65_536))
        return thread_time() - began

    few, many = min(seconds(4_000) for _ in range(3)), min(seconds(64_000) for _ in range(3))
    assert many < 16 * few * 3
