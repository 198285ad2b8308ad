"""Sealed streams: what is written comes back, and whatever is done to it in between is noticed."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from models import sealed, secrets
from models.sealed import HEADER, Tampered, WrongKey, plain_size, seal, unseal, unsealed_range
from models.settings import settings as configured

KEY, OTHER = bytes(range(32)), bytes(32)
CHUNK, TAG = 32, 16
BLOCK = CHUNK + TAG
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 5, 40 * CHUNK + 1)
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "CHUNK", CHUNK)
        patch.setattr(sealed, "_BLOCK", BLOCK)
        yield


def plain(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


def sealed_of(size: int) -> bytes:
    return b"".join(seal([plain(size)], KEY))


def opened(stream: bytes, *keys: bytes) -> bytes:
    return b"".join(unseal([stream], keys or (KEY,)))


def ranged(stream: bytes, start: int, end: int, *keys: bytes) -> bytes:
    return b"".join(unsealed_range(lambda offset, length: stream[offset : offset + length], len(stream), start, end, keys or (KEY,)))


@given(st.lists(st.binary(max_size=3 * CHUNK)), st.integers(1, 3 * BLOCK))
def test_a_stream_comes_back_however_it_is_cut(chunks: list[bytes], size: int) -> None:
    stream = b"".join(seal(chunks, KEY))
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert b"".join(unseal(pieces, [OTHER, KEY])) == b"".join(chunks)
    assert plain_size(len(stream)) == len(b"".join(chunks))


@pytest.mark.parametrize("size", SIZES)
def test_a_size_says_what_is_inside(size: int) -> None:
    assert plain_size(len(sealed_of(size))) == size


def test_a_size_that_no_stream_has_is_tampered_with() -> None:
    possible = {len(sealed_of(size)) for size in range(4 * CHUNK)}
    for size in range(max(possible)):
        if size not in possible:
            with pytest.raises(Tampered):
                plain_size(size)


@given(st.sampled_from(SIZES), st.data())
def test_a_range_is_that_of_the_plain_bytes(size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    assert ranged(sealed_of(size), start, end, OTHER, KEY) == plain(size)[start:end]


def test_a_range_reads_the_blocks_that_hold_it_and_no_others() -> None:
    stream, read = sealed_of(20 * CHUNK), []

    def reading(offset: int, length: int) -> bytes:
        read.append((offset, length))
        return stream[offset : offset + length]

    assert b"".join(unsealed_range(reading, len(stream), 3 * CHUNK + 1, 5 * CHUNK, [KEY])) == plain(20 * CHUNK)[3 * CHUNK + 1 : 5 * CHUNK]
    assert read == [(0, HEADER), (HEADER + 3 * BLOCK, 2 * BLOCK)]
    read.clear()
    assert b"".join(unsealed_range(reading, len(stream), 0, 20 * CHUNK, [KEY])) == plain(20 * CHUNK)
    assert [length for _, length in read] == [HEADER, 8 * BLOCK, 8 * BLOCK, 4 * BLOCK]


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), (0, 101), (101, 101)])
def test_a_range_outside_of_the_stream_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="outside of the stream"):
        ranged(sealed_of(100), start, end)


@pytest.mark.parametrize("size", SIZES)
def test_a_truncated_stream_is_tampered_with(size: int) -> None:
    stream = sealed_of(size)
    for length in {*range(min(len(stream), 200)), *range(HEADER, len(stream), BLOCK), len(stream) - 1}:
        with pytest.raises(Tampered):
            opened(stream[:length])


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_with_something_added_is_tampered_with(size: int) -> None:
    stream = sealed_of(size)
    for more in (b"\0", bytes(TAG), stream[-TAG:], stream[HEADER:], stream):
        with pytest.raises(Tampered):
            opened(stream + more)


@settings(max_examples=300)
@given(st.sampled_from(SIZES), st.data())
def test_a_stream_with_one_bit_changed_is_not_opened(size: int, data: st.DataObject) -> None:
    stream = bytearray(sealed_of(size))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= 1 << data.draw(st.integers(0, 7))
    expected = WrongKey if len(sealed.MAGIC) <= place < HEADER else Tampered
    with pytest.raises(expected):
        opened(bytes(stream))
    with pytest.raises(expected):
        ranged(bytes(stream), 0, size) if size else opened(bytes(stream))


@given(st.permutations(range(5)))
def test_blocks_in_another_order_are_tampered_with(order: list[int]) -> None:
    stream = sealed_of(5 * CHUNK)
    blocks = [stream[HEADER + index * BLOCK :][:BLOCK] for index in range(5)]
    moved = stream[:HEADER] + b"".join(blocks[index] for index in order)
    if order == sorted(order):
        assert opened(moved) == plain(5 * CHUNK)
    else:
        with pytest.raises(Tampered):
            opened(moved)


def test_a_block_that_is_missing_or_there_twice_or_of_another_stream_is_tampered_with() -> None:
    stream, other = sealed_of(5 * CHUNK), sealed_of(5 * CHUNK)
    second = slice(HEADER + BLOCK, HEADER + 2 * BLOCK)
    for put in (b"", stream[second] * 2, other[second]):
        with pytest.raises(Tampered):
            opened(stream[: second.start] + put + stream[second.stop :])


def test_an_empty_last_block_behind_others_is_tampered_with() -> None:
    stream = sealed._Stream.of(KEY, bytes(16))
    made = stream.header + stream.seal(0, bytes(CHUNK), last=False) + stream.seal(1, b"", last=True)
    with pytest.raises(Tampered):
        opened(made)


def test_what_comes_before_the_end_of_a_truncated_stream_is_what_was_written() -> None:
    pieces = unseal([sealed_of(5 * CHUNK)[: HEADER + 3 * BLOCK]], [KEY])
    assert next(pieces) + next(pieces) == plain(2 * CHUNK)
    with pytest.raises(Tampered):
        next(pieces)


def test_another_key_is_told_before_anything_is_read() -> None:
    stream = sealed_of(100)
    for keys in ((OTHER,), (OTHER, bytes(31) + b"\1")):
        with pytest.raises(WrongKey, match="with another key"):
            opened(stream, *keys)
        with pytest.raises(WrongKey):
            ranged(stream[:HEADER] + bytes(len(stream) - HEADER), 0, 1, *keys)
    with pytest.raises(WrongKey):
        list(unseal([stream], []))


def test_something_that_was_never_sealed_is_tampered_with() -> None:
    with pytest.raises(Tampered, match="not what was written"):
        opened(b"PGDMP" + bytes(1000))
    with pytest.raises(Tampered):
        list(unseal([], [KEY]))


def test_two_streams_of_the_same_have_nothing_in_common() -> None:
    one, two = sealed_of(100), sealed_of(100)
    assert one[: len(sealed.MAGIC)] == two[: len(sealed.MAGIC)]
    assert not {one[start : start + 8] for start in range(8, len(one), 8)} & {two[start : start + 8] for start in range(8, len(two), 8)}


def test_a_key_that_is_short_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        next(seal([], b"short"))


def test_what_the_chunks_raise_is_raised() -> None:
    def chunks() -> Iterator[bytes]:
        yield plain(100)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(seal(chunks(), KEY))


def test_a_passphrase_opens_what_it_sealed_and_no_other_does() -> None:
    stream = b"".join(sealed.seal_by_passphrase([plain(100)], "Café"))
    assert b"".join(sealed.unseal_by_passphrase(iter((stream[:5], stream[5:])), "Cafe\N{COMBINING ACUTE ACCENT}")) == plain(100)
    with pytest.raises(WrongKey):
        list(sealed.unseal_by_passphrase([stream], "Cafe"))
    for broken in (stream[:-1], stream[:20], b"", b"x" + stream[1:], stream[24:]):
        with pytest.raises(Tampered):
            list(sealed.unseal_by_passphrase([broken], "Café"))


def test_a_stream_outlives_the_rotation_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured(), "data", tmp_path)
    monkeypatch.setattr(configured(), "secret_keys", [])
    (made,) = sealed.installation_keys()
    assert sealed.installation_keys() == (made,)
    assert len(made) == 32
    (kept,) = secrets.fernet_keys()
    new = Fernet.generate_key().decode()
    stream = b"".join(seal([b"a dump"], made))
    monkeypatch.setattr(configured(), "secret_keys", [SecretStr(new), SecretStr(kept)])
    keys = sealed.installation_keys()
    assert keys[1] == made != keys[0]
    assert b"".join(unseal([stream], keys)) == b"a dump"
    with pytest.raises(WrongKey):
        list(unseal([stream], keys[:1]))


def test_blocks_of_the_real_size_pass_through_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "CHUNK", MIB)
    monkeypatch.setattr(sealed, "_BLOCK", MIB + TAG)
    tracemalloc.start()
    try:
        count = sum(map(len, unseal(seal((bytes(300_000) for _ in range(100)), KEY), [KEY])))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 30_000_000
    assert peak < 10 * MIB
