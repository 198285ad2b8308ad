#!/usr/bin/python3
"""mongodump work-alike: an archive to stdout or into a file."""

from typing import Any

import bson
import mongoarchive as archive
from bson import json_util
from fastcrc import crc64
from pymongo.database import Database


def prelude(database: Database[dict[str, Any]], info: dict[str, Any]) -> bytes:
    """What is said of a collection or view before any data."""
    kind = info["type"]
    indexes = [dict(index) for index in database[info["name"]].list_indexes()] if kind == "collection" else []
    metadata = {"indexes": indexes, "collectionName": info["name"], "type": kind, "options": dict(info.get("options", {}))}
    text = json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return bson.encode({"db": database.name, "collection": info["name"], "metadata": text, "size": 0, "type": kind})


def main() -> None:
    """Write the chosen databases."""
    args = archive.parser("mongodump").parse_args()
    client = archive.connect(args)
    names = [args.db] if args.db else [name for name in client.list_database_names() if name not in ("local", "config", "admin")]
    found = [
        (client[name], info)
        for name in names
        for info in sorted(client[name].list_collections(), key=lambda info: info["name"])
        if info["type"] in ("collection", "view") and not info["name"].startswith("system.")
    ]
    header = {
        "concurrent_collections": 1,
        "version": "0.1",
        "server_version": client.server_info()["version"],
        "tool_version": "100.0.0",
    }
    with archive.opened(args, "wb") as out:
        out.write(archive.MAGIC + bson.encode(header))
        for database, info in found:
            out.write(prelude(database, info))
        out.write(archive.TERMINATOR)
        for database, info in found:
            head = {"db": database.name, "collection": info["name"]}
            crc = count = 0
            for document in database[info["name"]].find() if info["type"] == "collection" else ():
                if not count:
                    out.write(bson.encode(head | {"EOF": False, "CRC": bson.Int64(0)}))
                out.write(document.raw)
                crc, count = crc64.xz(document.raw, crc), count + 1
            if count:
                out.write(archive.TERMINATOR)
            # Also of a view, which the real program takes for an empty collection here.
            out.write(bson.encode(head | {"EOF": True, "CRC": archive.signed(crc)}) + archive.TERMINATOR)
            archive.say(args, f"done dumping {database.name}.{info['name']} ({count} documents)")


try:
    main()
except Exception as error:
    archive.failed(error)
