"""What goes wrong with backups and restores on the real engine: each has its own code, and nothing is lost."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.backup_storage import NoObject
from tests.docker.house import House
from tests.docker.installation import Installation, eventually
from tests.docker.managed import Managed
from tests.docker.test_databases import mostly_long
from tests.services.s3 import Server, s3

__all__ = ["s3"]

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("database_images")]


def stored(installation: Installation) -> list[Path]:
    """The files in the local storage of backups."""
    return [path for path in (installation.stack.directory.path / "backups").rglob("*") if path.is_file()]


async def killed(installation: Installation) -> None:
    """Kill the worker, and have another one begin."""
    os.kill(installation.workers[-1].pid, signal.SIGKILL)
    assert await installation.workers[-1].wait() == -signal.SIGKILL
    await installation.start_worker()


async def grown(house: House, type: str, mebibytes: int) -> tuple[Managed, str]:
    """A database with much in it, and its fingerprint."""
    database = await house.database(type, resources={"memoryLimit": 1024})
    data = await database.dataset()
    await data.write()
    await data.grow(mebibytes)
    return database, await data.fingerprint()


@mostly_long("postgresql")
async def test_the_backup_of_a_killed_worker_is_begun_anew(
    house: House, installation: Installation, type: str, tell: Callable[[str], None]
) -> None:
    database, written = await grown(house, type, 100)
    id = (await database.post("backup"))["backupId"]
    await database.reached("backup", id, "dumping")
    with database.timed("backup after a kill"):
        await killed(installation)
        if type == "postgresql":  # in the long forms the lease ends by itself
            await installation.database.execute("update database_backup set lease_until = now() where id = $1", id)
        backup = await database.ended("backups", id, within=90)
    tell(f"{type}: {database.seconds}")
    assert backup["status"] == "completed", backup["errorMessage"]
    name = await installation.database.fetchval("select object_name from database_backup where id = $1", id)
    assert f"{id}-2." in name
    assert [path.name for path in stored(installation) if id in path.name or ".partial" in path.name] == [name.rpartition("/")[2]]
    await (await database.dataset()).change()
    await database.restored(id, safetyBackup=False)
    assert await (await database.dataset()).fingerprint() == written


@mostly_long("postgresql", "mysql")
async def test_the_restore_of_a_killed_worker_is_begun_anew(
    house: House, installation: Installation, type: str, tell: Callable[[str], None]
) -> None:
    database, written = await grown(house, type, 60)
    backup = await database.backed_up()
    await (await database.dataset()).change()
    id = (await database.post(f"backups/{backup['id']}/restore", safetyBackup=False))["id"]
    await database.reached("restore", id, "loading")
    with database.timed("restore after a kill"):
        await killed(installation)
        if type in ("postgresql", "mysql"):
            await installation.database.execute("update database_restore set lease_until = now() where id = $1", id)
        restore = await database.ended("restores", id, within=150)
    tell(f"{type}: {database.seconds}")
    assert restore["status"] == "completed", restore["errorMessage"]
    await database.settled()
    assert await (await database.dataset()).fingerprint() == written
    assert len(await installation.engine.volume_names(f"dokploy.database={database.id}")) == 1
    assert len(await installation.engine.containers(f"dokploy.restore={id}-1")) == 0


async def test_a_backup_and_a_restore_that_are_cancelled_leave_everything_as_it_was(house: House, installation: Installation) -> None:
    database, written = await grown(house, "mysql", 60)
    id = (await database.post("backup"))["backupId"]
    await database.reached("backup", id, "dumping")
    await database.post(f"backups/{id}/cancel")
    assert (await database.ended("backups", id, within=30))["status"] == "cancelled"
    assert [path for path in stored(installation) if id in path.name or ".partial" in path.name] == []
    backup = await database.backed_up()
    restore = (await database.post(f"backups/{backup['id']}/restore"))["id"]
    await database.reached("restore", restore, "loading")
    await database.post(f"restores/{restore}/cancel")
    assert (await database.ended("restores", restore, within=60))["status"] == "cancelled"
    await database.settled()
    assert await (await database.dataset()).fingerprint() == written
    assert await installation.engine.volume_names(f"dokploy.database={database.id}") == [f"{database.service_name}-data"]


@mostly_long("mysql", "redis")
async def test_a_backup_that_is_cut_or_tampered_with_is_found_out(house: House, installation: Installation, type: str) -> None:
    database = await house.database(type)
    data = await database.dataset()
    await data.write()
    backup = await database.backed_up()
    path = await database.stored(backup["id"])
    whole = path.read_bytes()
    await data.change()
    changed = await data.fingerprint()
    middle = len(whole) // 2
    for wrong in (whole[:-1], whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b""):
        path.write_bytes(wrong)
        restore = await database.restore(backup["id"], safetyBackup=False)
        assert (restore["status"], restore["errorCode"]) == ("failed", "BACKUP_DAMAGED")
    path.unlink()
    restore = await database.restore(backup["id"], safetyBackup=False)
    assert (restore["status"], restore["errorCode"]) == ("failed", "BACKUP_MISSING")
    await database.settled()
    assert await data.fingerprint() == changed


async def test_a_server_that_ends_in_the_middle_fails_the_backup_by_a_code_of_its_own(house: House, installation: Installation) -> None:
    database, written = await grown(house, "mysql", 100)
    id = (await database.post("backup"))["backupId"]
    await database.reached("backup", id, "dumping")
    killed = await database.container()
    await installation.command("kill", killed)
    backup = await database.ended("backups", id)
    assert backup["status"] == "failed"
    assert backup["errorCode"] in ("CONTAINER_LOST", "DATABASE_STOPPED", "DATABASE_UNREACHABLE"), backup["errorMessage"]
    assert [path for path in stored(installation) if id in path.name or ".partial" in path.name] == []

    async def another() -> bool:
        return await database.container() != killed

    await eventually(another, within=60)
    assert await (await database.dataset()).fingerprint() == written


async def test_a_password_that_somebody_else_has_changed_is_said_so(house: House, installation: Installation) -> None:
    database = await house.database("redis")
    password = (await database.credentials())["password"]
    await database.execute(["redis-cli", "config", "set", "requirepass", "another"], {"REDISCLI_AUTH": password}, b"")
    backup = await database.ended("backups", (await database.post("backup"))["backupId"])
    assert (backup["status"], backup["errorCode"]) == ("failed", "DATABASE_AUTH_FAILED")
    assert "another" not in str(backup) and password not in str(backup)
    await database.execute(["redis-cli", "config", "set", "requirepass", password], {"REDISCLI_AUTH": "another"}, b"")
    await database.backed_up()


async def test_a_backup_goes_to_a_bucket_and_comes_back(house: House, installation: Installation, s3: Server) -> None:
    bucket = {"DOKPLOY_BACKUP_S3": json.dumps(s3.settings())}
    await installation.workers[-1].stop()
    await installation.start_worker(**bucket)
    try:
        database = await house.database("postgresql")
        data = await database.dataset()
        await data.write()
        written = await data.fingerprint()
        async with installation.second_gateway(**bucket) as owner:
            there = replace(database, installation=replace(installation, owner=owner))
            id = (await there.post("backup", storage="s3"))["backupId"]
        backup = await database.ended("backups", id)
        assert (backup["status"], backup["storage"]) == ("completed", "s3")
        name = await installation.database.fetchval("select object_name from database_backup where id = $1", id)
        assert s3.bucket().size(name) == backup["size"]
        await data.change()
        await database.restored(id, safetyBackup=False)
        assert await data.fingerprint() == written
        await database.delete()
        await eventually(database.forgotten, within=60)
        with pytest.raises(NoObject):
            s3.bucket().size(name)
    finally:
        await installation.workers[-1].stop()
        await installation.start_worker()


async def test_a_backup_of_a_newer_server_is_refused_by_an_older_one_and_one_of_its_own_is_taken(
    house: House, installation: Installation
) -> None:
    newer, older = await house.database("postgresql", version="17"), await house.database("postgresql")
    for database in (newer, older):
        await (await database.dataset()).write()
    assert await _uploaded(older, await _downloaded(newer)) == ("failed", "BACKUP_TOO_NEW")
    assert await _uploaded(newer, await _downloaded(older)) == ("completed", None)
    assert await _uploaded(older, b"nothing that makes sense") == ("failed", "BACKUP_DAMAGED")


async def _downloaded(database: Managed) -> bytes:
    backup = await database.backed_up()
    answer = await database.installation.owner.get(f"{database.path}/backups/{backup['id']}/download")
    assert (answer.status_code, len(answer.content)) == (200, backup["size"])
    return answer.content


async def _uploaded(database: Managed, content: bytes) -> tuple[str, Any]:
    answer = await database.uploaded(content)
    assert answer.status_code == 202, answer.text
    backup = await database.ended("backups", answer.json()["backupId"])
    return backup["status"], backup["errorCode"]
