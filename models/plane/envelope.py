"""The outside of an archive: compressed, then sealed by a passphrase."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from models.plane.errors import Damaged, NotABackup, WrongPassphrase
from models.sealed import PASSPHRASE_MAGIC, Tampered, WrongKey, seal_by_passphrase, unseal_by_passphrase

PIECE: Final = 1 << 18
"""Plain bytes that come out at once, however well they were compressed."""


def packed(chunks: Iterable[bytes], passphrase: str) -> Iterator[bytes]:
    """The bytes of an archive as they lie in a file."""
    return seal_by_passphrase(_compressed(chunks), passphrase)


def unpacked(chunks: Iterable[bytes], passphrase: str) -> Iterator[bytes]:
    """The bytes of the archive in a file; that they are all is known when they end.

    Raises `NotABackup`, `WrongPassphrase` and `Damaged`.
    """
    front, rest = b"", iter(chunks)
    while len(front) < len(PASSPHRASE_MAGIC) and (chunk := next(rest, b"")):
        front += chunk
    if not front.startswith(PASSPHRASE_MAGIC):
        raise NotABackup
    try:
        yield from _decompressed(unseal_by_passphrase(chain((front,), rest), passphrase))
    except WrongKey:
        raise WrongPassphrase from None
    except (Tampered, zlib.error):
        raise Damaged from None


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj()
    for chunk in chunks:
        if squeezed := packer.compress(chunk):
            yield squeezed
    yield packer.flush()


def _decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    for chunk in chunks:
        pending = chunk
        while pending:
            if unpacker.eof:
                raise Damaged
            plain = unpacker.decompress(pending, PIECE)
            pending = unpacker.unconsumed_tail or unpacker.unused_data
            if plain:
                yield plain
    while rest := unpacker.decompress(b"", PIECE):
        yield rest
    if not unpacker.eof:
        raise Damaged
