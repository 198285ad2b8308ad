"""Sealed streams: encryption of byte streams of any length, such that whatever is changed, moved, cut off or added is noticed.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM. A sealed stream is a header and then blocks:

    header   MAGIC, a random salt, and the mark of the key
    block    CHUNK bytes, sealed, and their tag; the last one holds the rest, which is empty only if all is

HKDF makes three things of key and salt: the key of this stream, the prefix of its nonces, and a mark that no other key makes. A nonce is
the prefix, the number of the block and whether it is the last.
"""

import base64
import functools
import hmac
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from models import secrets

MAGIC: Final = b"dkseal\x00\x01"
PASSPHRASE_MAGIC: Final = b"dkpass\x00\x01"
CHUNK: Final = 1 << 20
"""Plain bytes of each block but the last."""
AHEAD: Final = 8
"""Blocks that are read at once for a range."""
_KEY, _SALT, _PREFIX, _MARK, _TAG = 32, 16, 7, 16, 16
HEADER: Final = len(MAGIC) + _SALT + _MARK
_BLOCK: Final = CHUNK + _TAG
_FRONT: Final = len(PASSPHRASE_MAGIC) + _SALT

Read = Callable[[int, int], bytes]
"""Reads at an offset that many bytes."""


class Tampered(Exception):
    """The sealed data are not what was written: something was changed, moved, cut off or added."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


class WrongKey(Exception):
    """The data were sealed with another key."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


@dataclass(frozen=True, slots=True)
class _Stream:
    """What seals and opens the blocks of one stream."""

    cipher: AESGCM
    prefix: bytes
    header: bytes

    @classmethod
    def of(cls, key: bytes, salt: bytes) -> Self:
        made = HKDF(SHA256(), _KEY + _PREFIX + _MARK, salt, b"dokploy sealed stream").derive(key)
        return cls(AESGCM(made[:_KEY]), made[_KEY:-_MARK], MAGIC + salt + made[-_MARK:])

    @classmethod
    def behind(cls, header: bytes, keys: Sequence[bytes]) -> Self:
        if len(header) != HEADER or not header.startswith(MAGIC):
            raise Tampered
        for key in keys:
            stream = cls.of(key, header[len(MAGIC) : len(MAGIC) + _SALT])
            if hmac.compare_digest(stream.header, header):
                return stream
        raise WrongKey

    def seal(self, index: int, block: bytes, *, last: bool) -> bytes:
        return self.cipher.encrypt(self._nonce(index, last), block, None)

    def unseal(self, index: int, block: bytes, *, last: bool) -> bytes:
        try:
            plain = self.cipher.decrypt(self._nonce(index, last), block, None)
        except InvalidTag:
            raise Tampered from None
        if last and index and not plain:
            raise Tampered
        return plain

    def _nonce(self, index: int, last: bool) -> bytes:
        return self.prefix + index.to_bytes(4) + bytes((last,))


def _cut(chunks: Iterable[bytes], sizes: Iterator[int]) -> Iterator[tuple[bytes, bool]]:
    """The same bytes in pieces of these sizes, each with whether it is the last, which may be shorter."""
    piece, size = bytearray(), next(sizes)
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            if len(piece) == size:
                yield bytes(piece), False
                piece, size = bytearray(), next(sizes)
            room = size - len(piece)
            piece += rest[:room]
            rest = rest[room:]
    yield bytes(piece), True


def seal(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    """Seal a stream with a key of 32 bytes; how its bytes come in pieces does not matter, and one block of it is held at a time."""
    if len(key) != _KEY:
        raise ValueError(f"a key has {_KEY} bytes")
    stream = _Stream.of(key, os.urandom(_SALT))
    yield stream.header
    for index, (block, last) in enumerate(_cut(chunks, repeat(CHUNK))):
        yield stream.seal(index, block, last=last)


def unseal(chunks: Iterable[bytes], keys: Sequence[bytes]) -> Iterator[bytes]:
    """What was sealed with one of the keys. Every byte that comes is what was written; that they are all is known when the iterator ends.

    Raises `WrongKey` when none of the keys has made it, and `Tampered`.
    """
    yield from _unsealed(_cut(chunks, chain((HEADER,), repeat(_BLOCK))), keys)


def _unsealed(pieces: Iterator[tuple[bytes, bool]], keys: Sequence[bytes]) -> Iterator[bytes]:
    header, ended = next(pieces)
    stream = _Stream.behind(header, keys)
    if ended:
        raise Tampered
    for index, (block, last) in enumerate(pieces):
        yield stream.unseal(index, block, last=last)


def plain_size(sealed_size: int) -> int:
    """How many bytes a sealed stream of so many holds. Raises `Tampered` when no stream has that size."""
    full, rest = divmod(sealed_size - HEADER, _BLOCK)
    if full < 0 or 0 < rest < _TAG + bool(full) or full == rest == 0:
        raise Tampered
    return full * CHUNK + max(rest - _TAG, 0)


def unsealed_range(read: Read, sealed_size: int, start: int, end: int, keys: Sequence[bytes]) -> Iterator[bytes]:
    """The plain bytes from `start` up to but without `end`, reading only the header and the blocks that hold them.

    Every byte that comes is what was written there. That the stream ends where `sealed_size` says is known only when the range reaches its
    end. Raises `WrongKey`, `Tampered`, and ValueError for a range outside of it.
    """
    if not 0 <= start <= end <= plain_size(sealed_size):
        raise ValueError("the range is outside of the stream")
    stream = _Stream.behind(read(0, HEADER), keys)
    first, behind = start // CHUNK, -(-end // CHUNK) if start < end else 0
    for group in range(first, behind, AHEAD):
        offset, count = HEADER + group * _BLOCK, min(AHEAD, behind - group)
        sealed = memoryview(read(offset, min(count * _BLOCK, sealed_size - offset)))
        for index in range(group, group + count):
            block = bytes(sealed[(index - group) * _BLOCK :][:_BLOCK])
            plain = stream.unseal(index, block, last=HEADER + (index + 1) * _BLOCK >= sealed_size)
            yield plain[max(start - index * CHUNK, 0) : end - index * CHUNK]


def installation_keys() -> tuple[bytes, ...]:
    """The keys of this installation for sealed streams, newest first: the first seals, each of them unseals (rotation)."""
    return tuple(
        HKDF(SHA256(), _KEY, None, b"dokploy installation key").derive(base64.urlsafe_b64decode(key)) for key in secrets.fernet_keys()
    )


@functools.lru_cache(1)
def passphrase_key(passphrase: str, salt: bytes) -> bytes:
    """The key that a passphrase makes, slowly on purpose: about half a second and 128 MiB. The last one is remembered."""
    return Scrypt(salt, _KEY, n=1 << 17, r=8, p=1).derive(unicodedata.normalize("NFC", passphrase).encode())


def seal_by_passphrase(chunks: Iterable[bytes], passphrase: str) -> Iterator[bytes]:
    """Seal a stream with a passphrase, whose salt stands before it."""
    salt = os.urandom(_SALT)
    yield PASSPHRASE_MAGIC + salt
    yield from seal(chunks, passphrase_key(passphrase, salt))


def unseal_by_passphrase(chunks: Iterable[bytes], passphrase: str) -> Iterator[bytes]:
    """What was sealed with a passphrase. Raises `WrongKey` when it was another one, and `Tampered`."""
    pieces = _cut(chunks, chain((_FRONT, HEADER), repeat(_BLOCK)))
    front, ended = next(pieces)
    if ended or not front.startswith(PASSPHRASE_MAGIC):
        raise Tampered
    yield from _unsealed(pieces, (passphrase_key(passphrase, front[len(PASSPHRASE_MAGIC) :]),))
