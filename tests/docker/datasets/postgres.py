"""The data set of PostgreSQL."""

from dataclasses import dataclass

from tests.docker.datasets.common import BLOBS, DATABASE, TEXTS, USER, Execute, noise, script


@dataclass(frozen=True)
class Postgres:
    """Of `USER`, who is a superuser."""

    execute: Execute
    password: str
    database: str = DATABASE

    async def write(self) -> None:
        rows = [f"insert into texts (value) values ({_literal(text)});" for text in TEXTS]
        rows += [f"insert into blobs (value) values ('\\x{blob.hex()}');" for blob in BLOBS]
        await self.query(script("postgres.sql"), *rows, "refresh materialized view extra.lengths;")

    async def change(self) -> None:
        await self.query(script("postgres-change.sql"))

    async def fingerprint(self, *, ownership: bool = True) -> str:
        return await self.query(f"\\set ownership {str(ownership).lower()}", script("postgres-fingerprint.sql"))

    async def grow(self, mebibytes: int) -> None:
        await self.query("create table if not exists grown (value text);", "alter table grown alter value set storage external;")
        for texts in noise(mebibytes):
            await self.query("copy grown from stdin;", *texts, "\\.")

    async def shrink(self) -> None:
        await self.query("drop table grown;")

    async def query(self, *lines: str) -> str:
        """What psql prints of a script."""
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", self.database, "-f", "-"]
        return (await self.execute(argv, {"PGPASSWORD": self.password}, "\n".join([*lines, ""]).encode())).decode()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
