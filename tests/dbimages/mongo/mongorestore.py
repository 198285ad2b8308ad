#!/usr/bin/python3
"""mongorestore work-alike: an archive from stdin or a file, with --drop and --dryRun."""

import argparse
import re
from itertools import islice
from typing import Any, BinaryIO

import bson
import mongoarchive as archive
from bson import json_util
from bson.raw_bson import RawBSONDocument
from fastcrc import crc64
from pymongo import IndexModel, MongoClient
from pymongo.database import Database

BATCH = 1000


class Target:
    """A collection that is being restored."""

    def __init__(self, database: Database[dict[str, Any]], entry: dict[str, Any], dry: bool) -> None:
        metadata = json_util.loads(entry["metadata"])
        self.database, self.name, self.dry = database, entry["collection"], dry
        self.options, self.indexes = metadata.get("options", {}), metadata["indexes"]
        self.crc = 0

    def create(self, drop: bool) -> None:
        """Make it as it was when it was dumped."""
        if drop:
            self.database[self.name].drop()
        if drop or self.name not in self.database.list_collection_names():
            self.database.create_collection(self.name, check_exists=False, **self.options)

    def read(self, block: Any) -> int:
        """Take documents of a block. How many there were."""
        count = 0
        while batch := list(islice(block, BATCH)):
            for raw in batch:
                self.crc = crc64.xz(raw, self.crc)
            if not self.dry:
                self.database[self.name].insert_many([RawBSONDocument(raw) for raw in batch], bypass_document_validation=True)
            count += len(batch)
        return count

    def index(self) -> None:
        """Make the indexes, which the real program also does last."""
        models = [
            IndexModel(list(index["key"].items()), **{name: value for name, value in index.items() if name not in ("key", "v", "ns")})
            for index in self.indexes
            if index["name"] != "_id_"
        ]
        if models:
            self.database[self.name].create_indexes(models)


def read(stream: BinaryIO, targets: dict[tuple[str, str], Target]) -> int:
    """Restore the documents of an archive; one that is damaged fails after what could be read, as with the real program."""
    missing, count = set(targets), 0
    while missing:
        block = archive.documents(stream)
        head = bson.decode(next(block))
        key = head["db"], head["collection"]
        count += targets[key].read(block)
        if head["EOF"]:
            if archive.signed(targets[key].crc) != head["CRC"]:
                raise archive.ArchiveError(f"CRC mismatch for {'.'.join(key)}")
            missing.remove(key)
    return count


def aimed(client: MongoClient[dict[str, Any]], entry: dict[str, Any], args: argparse.Namespace) -> Target:
    """Where a collection of the archive goes."""
    name = f"{entry['db']}.{entry['collection']}"
    if args.nsFrom and args.nsTo:
        pattern = re.sub(r"\\\$(\w+)\\\$", r"(?P<\1>[^.]+)", re.escape(args.nsFrom), count=1)
        pattern = re.sub(r"\\\$(\w+)\\\$", r"(?P<\1>.+)", pattern)
        if found := re.fullmatch(pattern, name):
            name = re.sub(r"\$(\w+)\$", lambda variable: found[variable[1]], args.nsTo)
    database, _, collection = name.partition(".")
    return Target(client[database], entry | {"collection": collection}, args.dryRun)


def main() -> None:
    """Load an archive."""
    options = archive.parser("mongorestore")
    options.add_argument("--drop", action="store_true")
    options.add_argument("--dryRun", action="store_true")
    options.add_argument("--stopOnError", action="store_true", help="accepted: this one always stops")
    options.add_argument("--nsFrom", help="a namespace with $variables$")
    options.add_argument("--nsTo", help="what it becomes")
    args = options.parse_args()
    client = archive.connect(args)
    with archive.opened(args, "rb") as stream:
        if archive.read_exact(stream, 4) != archive.MAGIC:
            raise archive.ArchiveError("stream or file does not appear to be a mongodump archive")
        _, *plan = [bson.decode(raw) for raw in archive.documents(stream)]
        targets = {(entry["db"], entry["collection"]): aimed(client, entry, args) for entry in plan}
        for target in targets.values() if not args.dryRun else ():
            target.create(args.drop)
        count = read(stream, targets)
    for target in targets.values() if not args.dryRun else ():
        target.index()
    archive.say(args, f"{count} document(s) restored successfully. 0 document(s) failed to restore.")


try:
    main()
except Exception as error:
    archive.failed(error)
