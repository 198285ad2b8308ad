"""Encrypted backups on the real engine: nothing of the data can be read in their files, and nothing of them can be changed."""

from dataclasses import replace

import pytest

from tests.docker.datasets.common import TEXTS
from tests.docker.house import House
from tests.docker.installation import Installation

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("database_images")]

CANARIES = [b"PGDMP", b"a_view_on_a_view", *(text.encode() for text in TEXTS if len(text) > 20 and not set("\\\n\t") & set(text))]
"""What a dump says of itself, of the structure, and of the rows."""


async def test_an_encrypted_backup_shows_nothing_of_the_data_and_brings_them_back(house: House, installation: Installation) -> None:
    database = await house.database("postgresql")
    data = await database.dataset()
    await data.write()
    written = await data.fingerprint()
    plain = await database.backed_up(compress=False)
    async with installation.second_gateway(DOKPLOY_BACKUP_ENCRYPTION="true") as owner:
        there = replace(database, installation=replace(installation, owner=owner))
        backup = await there.backed_up(compress=False)
    assert (plain["encrypted"], backup["encrypted"]) == (False, True)
    content, sealed = [(await database.stored(each["id"])).read_bytes() for each in (plain, backup)]
    assert len(CANARIES) > 6 and all(canary in content for canary in CANARIES)
    assert not [canary for canary in CANARIES if canary in sealed]
    await data.change()
    changed = await data.fingerprint()
    for place in (len(sealed) // 2, len(sealed) - 1):
        (await database.stored(backup["id"])).write_bytes(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
        restore = await database.restore(backup["id"], safetyBackup=False)
        assert (restore["status"], restore["errorCode"]) == ("failed", "BACKUP_DAMAGED")
    assert await data.fingerprint() == changed
    (await database.stored(backup["id"])).write_bytes(sealed)
    await database.restored(backup["id"], safetyBackup=False)
    assert await data.fingerprint() == written
