"""The migrations and the models agree, and several processes may migrate at once."""

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.embedded.stack import Stack
from models import database

ROOT = Path(__file__).parents[2]

DRIFT = """
import asyncio
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector
from models.database import configuration

async def main():
    config = configuration("postgresql://nobody@nowhere/none")
    await Tortoise.init(config=config, init_connections=False)
    writers = await MigrationAutodetector(Tortoise.apps, config["apps"]).changes()
    print([operation for writer in writers for operation in writer.operations])

asyncio.run(main())
"""


async def output_of(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().strip()


async def test_the_models_have_no_change_without_a_migration() -> None:
    assert await output_of("-c", DRIFT) == (0, "[]")


async def test_processes_that_migrate_at_once_take_turns(stack: Stack) -> None:
    answers = await asyncio.gather(*(output_of("-m", "gateway.cli", "migrate") for _ in range(3)))
    assert answers == [(0, "")] * 3


async def test_a_postgres_that_is_too_old_is_said_so(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OLDEST", (99,))
    with pytest.raises(database.PostgresTooOld, match=r"^Postgres 17 or newer is needed\. This is \d+\.\d+\.$"):
        await database.migrate()
