"""MongoDB's archive format, and the options that the two programs share which speak it.

An archive is a magic number and then BSON: a header, a document for each collection or view, a terminator; then blocks of a head
`{db, collection, EOF, CRC}`, documents of that collection and a terminator. The head that ends a collection has the CRC-64 of all of its
documents.
"""

import argparse
import gzip
import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

MAGIC = struct.pack("<I", 0x8199E26D)
TERMINATOR = b"\xff\xff\xff\xff"


class ArchiveError(Exception):
    """The archive is cut short or damaged."""


def signed(crc: int) -> bson.Int64:
    """A CRC as BSON stores it."""
    return bson.Int64(crc - (1 << 64) if crc >> 63 else crc)


def read_exact(stream: BinaryIO, size: int) -> bytes:
    """So many bytes. Raises ArchiveError."""
    data = stream.read(size)
    if len(data) != size:
        raise ArchiveError("corruption found in archive; unexpected EOF")
    return data


def documents(stream: BinaryIO) -> Iterator[bytes]:
    """The documents up to the next terminator. Raises ArchiveError."""
    while (head := read_exact(stream, 4)) != TERMINATOR:
        (size,) = struct.unpack("<i", head)
        if not 5 <= size <= 16 * 1024 * 1024 + 65536:
            raise ArchiveError(f"corruption found in archive; {size} is neither a valid bson length nor a terminator")
        yield head + read_exact(stream, size - 4)


def parser(program: str) -> argparse.ArgumentParser:
    """The options of both programs."""
    options = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    options.add_argument("--config", help="YAML file with uri: or password:")
    options.add_argument("--uri")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=27017)
    options.add_argument("--username", "-u")
    options.add_argument("--password", "-p")
    options.add_argument("--authenticationDatabase", default="admin")
    options.add_argument("--db", "-d")
    options.add_argument("--gzip", action="store_true")
    options.add_argument("--archive", nargs="?", const="-", required=True)
    options.add_argument("--quiet", action="store_true")
    return options


def connect(args: argparse.Namespace) -> MongoClient[dict[str, Any]]:
    """A client as the options say; the password of a user who comes without one is read from stdin."""
    told = {"uri": args.uri, "password": args.password} | (_config(args.config) if args.config else {})
    if args.username and told["password"] is None and not told["uri"]:
        told["password"] = sys.stdin.readline().rstrip("\n")
    login = {"username": args.username, "password": told["password"], "authSource": args.authenticationDatabase} if args.username else {}
    client: MongoClient[dict[str, Any]] = MongoClient(
        told["uri"] or f"mongodb://{args.host}:{args.port}", document_class=RawBSONDocument, serverSelectionTimeoutMS=5000, **login
    )
    client.admin.command("ping")
    return client


def _config(path: str) -> dict[str, str]:
    told = {}
    for line in Path(path).read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        value = value.strip()
        told[key] = json.loads(value) if value.startswith('"') else value
    return told


@contextmanager
def opened(args: argparse.Namespace, mode: str) -> Iterator[BinaryIO]:
    """The archive that the options name, to be read (`rb`) or written (`wb`)."""
    standard = sys.stdin.buffer if mode == "rb" else sys.stdout.buffer
    with nullcontext(standard) if args.archive == "-" else Path(args.archive).open(mode) as file:
        if not args.gzip:
            yield cast(BinaryIO, file)
            return
        with gzip.GzipFile(fileobj=cast(BinaryIO, file), mode=mode, mtime=0) as packed:
            yield cast(BinaryIO, packed)


def say(args: argparse.Namespace, line: str) -> None:
    """Say something to whoever runs the program."""
    if not args.quiet:
        sys.stderr.write(f"{line}\n")


def failed(error: Exception) -> NoReturn:
    """End as the real programs do, with one line."""
    sys.exit(f"Failed: {'error writing data: broken pipe' if isinstance(error, BrokenPipeError) else error}")
