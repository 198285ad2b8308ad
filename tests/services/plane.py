"""Databases beside that of the stack, what is in them, and the two commands as processes."""

import asyncio
import itertools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from gateway.embedded.stack import Stack
from models.database import credentials

ROOT = Path(__file__).parents[2]
PASSPHRASE = "a passphrase that nobody guesses"
NOTES = "; not in it: volumes of applications and databases, backups of databases, images, Caddy's certificates and authority"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Told:
    """How a command ended and what it said."""

    status: int | None
    out: bytes
    said: str


@dataclass(frozen=True)
class Place:
    """A database, and the directory of an installation."""

    url: str
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"DOKPLOY_DATABASE_URL": self.url, "DOKPLOY_DATA": str(self.data)}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(**credentials(self.url))
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self) -> dict[str, tuple[int, str]]:
        """Of each table how many rows it has, and the MD5 of all of them."""
        async with self.connected() as connection:
            names = await connection.fetch("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
            each = "select count(*), coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') from {} t"
            return {name: tuple(await connection.fetchrow(each.format(f'"{name}"'))) for [name] in names}

    async def shape(self) -> list[Any]:
        """Its columns, constraints, indexes, triggers, functions and sequences."""
        asked = (
            "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns"
            " where table_schema = 'public' order by 1, 2",
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
            " where connamespace = 'public'::regnamespace order by 1, 2",
            "select indexdef from pg_indexes where schemaname = 'public' order by 1",
            "select pg_get_triggerdef(oid), tgenabled::text from pg_trigger where not tgisinternal order by 1",
            "select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace order by 1",
            "select sequencename, last_value from pg_sequences where schemaname = 'public' order by 1",
        )
        async with self.connected() as connection:
            return [[tuple(row) for row in await connection.fetch(statement)] for statement in asked]


@asynccontextmanager
async def copied(stack: Stack, place: Place, path: Path) -> AsyncIterator[Place]:
    """A place that is what another one is, to which nobody is connected."""
    await asyncio.to_thread(shutil.copytree, place.data, path)
    async with empty(stack, path, template=urlsplit(place.url).path[1:]) as copy:
        yield copy


@asynccontextmanager
async def empty(stack: Stack, path: Path, template: str = "template1") -> AsyncIterator[Place]:
    """A new database on the server of the stack, owned by the role that is no superuser, and a directory that is not there yet."""
    name = f"plane{next(_numbers)}"
    server = await asyncpg.connect(**credentials(stack.database_url) | {"user": "postgres", "database": "postgres"})
    try:
        await server.execute(f"create database {name} owner dokploy template {template}")
        yield Place(urlunsplit(urlsplit(stack.database_url)._replace(path=f"/{name}")).replace("postgresql:/dok", "postgresql://dok"), path)
        await server.execute(f"drop database {name} with (force)")
    finally:
        await server.close()


async def run(*argv: str, stdin: bytes | None = None, **environment: str) -> Told:
    """A process of Python; a variable that is empty is not there. Neither the passphrase nor a key may be said."""
    found = {name: value for name, value in (os.environ | {"DOKPLOY_PASSPHRASE": PASSPHRASE} | environment).items() if value}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *argv),
        cwd=ROOT,
        env=found,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # nobody may be asked at the terminal of these tests
    )
    out, said = await process.communicate(stdin)
    keys = [path.read_bytes() for path in (Path(found["DOKPLOY_DATA"]) / "keys").glob("*")]
    for secret in [*keys, found.get("DOKPLOY_PASSPHRASE", PASSPHRASE).encode()]:
        assert secret not in out + said
    return Told(process.returncode, out, said.decode().strip())


MANY = """
import json, os, sys
from gateway import cli
from models.settings import settings

whole = dict(os.environ)
for arguments, environment in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update({name: value for name, value in (whole | environment).items() if value})
    settings.cache_clear()
    sys.argv = ["dokploy", *arguments]
    try:
        cli.main()
    except SystemExit as error:
        print(error.code)
"""


async def refusals(place: Place, *commands: tuple[list[str], dict[str, str]]) -> list[str]:
    """What commands, one after the other in one process, say why they do nothing; database and directory are as before."""

    async def state() -> object:
        return await place.rows(), await place.shape(), [each for each in sorted(place.data.rglob("*")) if "postgres" not in each.parts]

    before = await state()
    told = await run("-c", MANY, json.dumps(commands), **place.environment)
    assert (await state(), told.out.split()) == (before, [b"1"] * len(commands)), told
    said = told.said.splitlines()
    assert all(line.startswith("dokploy: ") for line in said)
    return [line.removeprefix("dokploy: ") for line in said]


async def dokploy(*arguments: str, stdin: bytes | None = None, **environment: str) -> Told:
    """A command of the command line."""
    return await run("-m", "gateway.cli", *arguments, stdin=stdin, **environment)
