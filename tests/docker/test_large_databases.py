"""Large databases: what takes more than one piece, pipe or block comes back as it was, too."""

from collections.abc import Callable

import pytest

from tests.docker.house import House
from tests.docker.managed import VERSIONS

pytestmark = [pytest.mark.docker, pytest.mark.full, pytest.mark.usefixtures("database_images")]

MEBIBYTES = 200


@pytest.mark.parametrize("type", list(VERSIONS))
async def test_a_large_database_comes_back_out_of_its_backup_as_it_was(house: House, type: str, tell: Callable[[str], None]) -> None:
    database = await house.database(type, resources={"memoryLimit": 1024})
    data = await database.dataset()
    await data.write()
    await data.grow(MEBIBYTES)
    written = await data.fingerprint()
    backup = await database.backed_up()
    assert backup["size"] > 0.7 * MEBIBYTES * (1 << 20)
    await data.change()
    await data.shrink()
    assert await data.fingerprint() != written
    await database.restored(backup["id"], safetyBackup=False)
    assert await data.fingerprint() == written
    tell(f"{type}, {MEBIBYTES} MiB, {backup['size'] >> 20} MiB of backup: {database.seconds}")
