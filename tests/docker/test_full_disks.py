"""Full disks under databases: what has no room fails by a code of its own, leaves nothing half done, and takes nothing away."""

import pytest

from tests.docker.house import House
from tests.docker.installation import Installation
from tests.docker.managed import Managed
from tests.docker.small_disks import fresh_volume, small_disk, small_volume
from tests.docker.test_databases import mostly_long
from workers.databases.room import RESERVE

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("database_images")]

MIB = 1 << 10
"""KiB."""
ENDED_FOR_IT = ("failed", "VOLUME_FULL", f"The disk of the database would be left with less than {RESERVE} MiB.")


@mostly_long("postgresql")
async def test_what_the_storage_of_backups_has_no_room_for_leaves_nothing_there(
    house: House, installation: Installation, type: str
) -> None:
    database = await house.database(type)
    data = await database.dataset()
    await data.write()
    written = await data.fingerprint()
    async with small_disk(await database.backups(), (RESERVE + 1) * MIB) as disk:
        backup = await database.ended("backups", (await database.post("backup"))["backupId"])
        assert (backup["status"], backup["errorCode"], backup["size"]) == ("failed", "STORAGE_FULL", None)
        answer = await database.uploaded(bytes(2 << 20))
        assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (503, "STORAGE_FULL")
        assert disk.files == []
        assert await data.fingerprint() == written
        await disk.has(free=(RESERVE + 64) * MIB)
        backup = await database.backed_up()
        await data.change()
        changed = await data.fingerprint()
        await disk.has(free=16)
        restore = await database.restore(backup["id"])
        assert (restore["status"], restore["errorCode"]) == ("failed", "SAFETY_BACKUP_FAILED")
        assert [backup["id"] in path.name for path in disk.files] == [True]
        await database.settled()
        assert await data.fingerprint() == changed
        await database.restored(backup["id"], safetyBackup=False)
        assert await data.fingerprint() == written


async def test_a_fresh_volume_that_cannot_take_the_data_of_redis_leaves_those_of_before(house: House, installation: Installation) -> None:
    database = await house.database("redis")
    data = await database.dataset()
    await data.write()
    backup = await database.backed_up()
    await data.change()
    changed = await data.fingerprint()
    begun = await database.post(f"backups/{backup['id']}/restore", safetyBackup=False)
    async with fresh_volume(database, MIB):
        restore = await database.ended("restores", begun["id"])
    assert (restore["status"], restore["errorCode"], restore["errorMessage"]) == ENDED_FOR_IT
    await _as_before(installation, database, changed)


@pytest.mark.full
@pytest.mark.parametrize("type", ["mysql", "mongodb"])
@pytest.mark.parametrize("step", ["copying", "loading"])
async def test_a_fresh_volume_that_cannot_take_the_data_leaves_those_of_before(
    house: House, installation: Installation, type: str, step: str
) -> None:
    database = await house.database(type, resources={"memoryLimit": 1024})
    data = await database.dataset()
    await data.write()
    await data.grow(120)
    backup = await database.backed_up()
    await data.shrink()
    shrunk = await data.fingerprint()
    begun = await database.post(f"backups/{backup['id']}/restore", safetyBackup=False)
    async with fresh_volume(database, MIB if step == "copying" else 1024 * MIB) as disk:
        if step == "loading":
            await database.reached("restore", begun["id"], "loading")
            await disk.has(free=(RESERVE + 50) * MIB)
        restore = await database.ended("restores", begun["id"])
    assert (restore["status"], restore["errorCode"], restore["errorMessage"]) == ENDED_FOR_IT
    assert restore["step"] == step and (step == "copying" or restore["transferred"] > 0)
    await _as_before(installation, database, shrunk)


@pytest.mark.full
async def test_a_volume_that_cannot_take_the_data_of_postgresql_twice_keeps_those_of_before(
    house: House, installation: Installation
) -> None:
    database = await house.database("postgresql")
    data = await database.dataset()
    await data.write()
    await data.grow(120)
    written = await data.fingerprint()
    backup = await database.backed_up()
    await data.shrink()
    shrunk = await data.fingerprint()
    await database.post("stop")
    await database.settled("stopped")
    async with small_volume(database) as disk:
        await database.post("start")
        await database.settled()
        for free in (RESERVE + 60, RESERVE // 4):
            await disk.has(free=free * MIB)
            restore = await database.restore(backup["id"], safetyBackup=False)
            assert (restore["status"], restore["errorCode"], restore["errorMessage"]) == ENDED_FOR_IT
            assert (restore["step"] == "loading") == (free > RESERVE)
        await _as_before(installation, database, shrunk)
        await disk.has(free=1024 * MIB)
        await database.restored(backup["id"], safetyBackup=False)
        assert await data.fingerprint() == written


async def _as_before(installation: Installation, database: Managed, fingerprint: str) -> None:
    """See that a database runs, holds what it held, and has nothing else."""
    await database.settled()
    assert await (await database.dataset()).fingerprint() == fingerprint
    label = f"dokploy.database={database.id}"
    assert await installation.engine.volume_names(label) == [f"{database.service_name}-data"]
    assert len([each for each in await installation.engine.containers(label) if each["State"] == "running"]) == 1
