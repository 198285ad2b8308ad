"""The data set of MongoDB."""

import json
from dataclasses import dataclass
from urllib.parse import quote

from tests.docker.datasets.common import BLOBS, CHUNK, DATABASE, TEXTS, Execute, script


@dataclass(frozen=True)
class Mongo:
    """Of an administrator."""

    execute: Execute
    password: str
    database: str = DATABASE
    username: str = "root"

    async def write(self) -> None:
        values = {"texts": TEXTS, "blobs": [blob.hex() for blob in BLOBS]}
        await self.run(script("mongo.js"), json.dumps(values).encode())

    async def change(self) -> None:
        await self.run(script("mongo-change.js"))

    async def fingerprint(self, *, ownership: bool = True) -> str:
        return await self.run(script("mongo-fingerprint.js"))

    async def grow(self, mebibytes: int) -> None:
        await self.run(f"const mebibytes = {mebibytes}, chunk = {CHUNK};" + script("mongo-grow.js"))

    async def shrink(self) -> None:
        await self.run("db.grown.drop()")

    async def run(self, code: str, stdin: bytes = b"") -> str:
        """What a script prints that has `db`, and its stdin as a file."""
        secrets = {"MONGO_URI": f"mongodb://{self.username}:{quote(self.password, safe='')}@127.0.0.1:27017/?authSource=admin"}
        connect = f"const db = new Mongo(process.env.MONGO_URI).getDB({json.dumps(self.database)});"
        argv = ["mongosh", "--quiet", "--norc", "--nodb", "--eval", connect + code]
        return (await self.execute(argv, secrets, stdin)).decode()
