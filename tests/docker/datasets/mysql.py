"""The data set of MySQL."""

from dataclasses import dataclass

from tests.docker.datasets.common import BLOBS, DATABASE, TEXTS, Execute, noise, script


@dataclass(frozen=True)
class Mysql:
    """Of `root`."""

    execute: Execute
    password: str
    database: str = DATABASE

    async def write(self) -> None:
        rows = [f"insert into texts (value) values (convert({_hexadecimal(text.encode())} using utf8mb4));" for text in TEXTS]
        rows += [f"insert into blobs (value) values ({_hexadecimal(blob)});" for blob in BLOBS]
        await self.query(script("mysql.sql"), *rows)

    async def change(self) -> None:
        await self.query(script("mysql-change.sql"))

    async def fingerprint(self, *, ownership: bool = True) -> str:
        structure = await self.query(script("mysql-fingerprint.sql"))
        if not ownership:
            structure = "".join(line for line in structure.splitlines(keepends=True) if not line.startswith("granted"))
        statements = [line.removeprefix("run ") for line in structure.splitlines() if line.startswith("run ")]
        return structure + await self.query("set time_zone = '+00:00';", *statements)

    async def grow(self, mebibytes: int) -> None:
        await self.query("create table if not exists grown (id int auto_increment primary key, value longtext character set ascii);")
        for texts in noise(mebibytes):
            await self.query(*(f"insert into grown (value) values ('{text}');" for text in texts))

    async def shrink(self) -> None:
        await self.query("drop table grown;")

    async def query(self, *lines: str) -> str:
        """What mysql prints of a script: a line for a row, with what would break it escaped."""
        argv = [
            "mysql",
            "--no-defaults",
            "-h127.0.0.1",
            "-uroot",
            "-N",
            "-B",
            "--comments",
            "--default-character-set=utf8mb4",
            self.database,
        ]
        return (await self.execute(argv, {"MYSQL_PWD": self.password}, "\n".join([*lines, ""]).encode())).decode()


def _hexadecimal(value: bytes) -> str:
    return f"x'{value.hex()}'"
