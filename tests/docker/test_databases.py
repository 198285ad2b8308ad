"""Databases on the real engine: each of them made, used, changed, backed up, restored and removed."""

import asyncio
from collections.abc import Callable

import pytest

from tests.docker.house import House
from tests.docker.installation import Installation, eventually
from tests.docker.managed import VERSIONS, Managed
from tests.docker.sample import Sample
from tests.docker.test_changes import watched_command_lines

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("database_images")]

ENGINES = list(VERSIONS)


def mostly_long(*short: str) -> pytest.MarkDecorator:
    """All engines in the long form, these in the short one."""
    return pytest.mark.parametrize("type", [each if each in short else pytest.param(each, marks=pytest.mark.full) for each in ENGINES])


@pytest.mark.parametrize("type", ENGINES)
async def test_a_database_comes_back_out_of_its_backup_as_it_was(
    house: House, installation: Installation, type: str, tell: Callable[[str], None]
) -> None:
    with watched_command_lines() as seen:
        database = await house.database(type, name="shop")
        data = await database.dataset()
        await data.write()
        written = await data.fingerprint()
        backup = await database.backed_up()
        await data.change()
        assert await data.fingerprint() != written
        await database.restored(backup["id"])
        assert await data.fingerprint() == written
        before = await database.credentials()
        await database.post("rotate-password")
        with database.timed("rotate"):
            await database.settled()
    after = await database.credentials()
    assert after["password"] != before["password"]
    assert await (await database.dataset()).fingerprint() == written
    secrets = [before["password"], after["password"]]
    assert not [line for line in seen for secret in secrets if secret in line]
    logs = "".join(installation.log(name).read_text() for name in ("worker-0", "gateway"))
    said = str(await database.shown()) + str(backup) + str((await installation.owner.get("/audit")).json())
    assert not [secret for secret in secrets if secret in logs + said]
    assert any(f"dokploy.database={database.id}" in line for line in seen)
    tell(f"{type}: {database.seconds}")


@mostly_long("postgresql")
async def test_a_database_keeps_its_data_while_it_is_stopped_started_and_changed(
    house: House, installation: Installation, type: str
) -> None:
    database = await house.database(type)
    data = await database.dataset()
    await data.write()
    written = await data.fingerprint()
    await database.post("stop")
    await database.settled("stopped")
    assert not [each for each in await installation.engine.containers(f"dokploy.database={database.id}") if each["State"] == "running"]
    answer = await installation.owner.post(f"{database.path}/backup", {})
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "DATABASE_STOPPED")
    await database.post("start")
    await database.settled()
    changed = await installation.owner.patch(
        database.path, {"resources": {"memoryLimit": 640}, "configuration": {"maxConnections": 77}, "name": "renamed"}
    )
    assert changed.status_code == 200, changed.text
    shown = await database.settled()
    assert (shown["name"], shown["resources"]["memoryLimit"], shown["configuration"]["maxConnections"]) == ("renamed", 640, 77)
    assert _lasting(await data.fingerprint()) == _lasting(written)


def _lasting(fingerprint: str) -> list[str]:
    """Without what Redis itself does not keep over a restart: which entries of a stream were handed out when."""
    return [line for line in fingerprint.splitlines() if " stream " not in line]


@mostly_long("postgresql", "mongodb")
async def test_a_backup_is_restored_into_a_new_database_beside_the_old_one(house: House, installation: Installation, type: str) -> None:
    database = await house.database(type)
    data = await database.dataset()
    await data.write()
    backup = await database.backed_up(compress=False)
    restore = await database.post(f"backups/{backup['id']}/restore", newDatabaseName="second")
    made = (await installation.owner.get(f"/databases/{restore['databaseId']}")).json()
    other = await house.taken_in(made)
    ended = await other.ended("restores", restore["id"])
    assert ended["status"] == "completed", (ended["errorCode"], ended["errorMessage"])
    assert ended["safetyBackupId"] is None
    await other.settled()
    await _same(database, other)


async def _same(one: Managed, other: Managed) -> None:
    """See that two databases hold the same; users, which belong to a server, are not among it."""
    fingerprints = [await (await each.dataset()).fingerprint(ownership=False) for each in (one, other)]
    assert fingerprints[0] == fingerprints[1]


async def test_an_application_reaches_the_database_that_its_environment_refers_to(
    house: House, installation: Installation, sample: Sample
) -> None:
    database = await house.database("redis")
    variables = [{"key": "REDIS_URL", "value": "${{database.shop.url}}"}, {"key": "HOST", "value": "at ${{ database.shop.host }}"}]
    app = await house.app(gitSource=sample.source, project=database.project, envVars=variables)
    deployment = await app.deployed()
    url = (await database.credentials())["connectionString"]
    told = (await app.page("/env")).splitlines()
    assert {f"REDIS_URL={url}", f"HOST=at {database.service_name}"} <= set(told)
    (task,) = await app.running()
    for host in ("shop", database.service_name):
        asked = ["exec", str(task.container_id), "sh", "-c", f"printf 'PING\\r\\n' | nc -w 2 {host} 6379"]
        assert (await installation.command(*asked))[0] == "-NOAUTH"
    assert url not in str(deployment) + str(await app.shown()) + str(await installation.logs(deployment["id"]))


async def test_a_reference_to_nothing_fails_the_deployment(house: House, installation: Installation) -> None:
    app = await house.app(image=installation.base_image, envVars=[{"key": "URL", "value": "${{database.nowhere.url}}"}])
    deployment = await app.failed()
    assert deployment["error"]["code"] == "REFERENCE_UNKNOWN"


async def test_a_server_that_dies_is_started_again_and_told_of(house: House, installation: Installation) -> None:
    database = await house.database("redis")
    await installation.command("kill", await database.container())

    async def noticed() -> bool:
        return (await database.shown())["status"] != "running"

    await eventually(noticed, within=30)
    await eventually(lambda: _runs(database), within=60)


async def _runs(database: Managed) -> bool:
    return (await database.shown())["status"] == "running"


async def test_a_project_network_goes_with_its_last_database(house: House, installation: Installation) -> None:
    database = await house.database("redis")
    await database.delete()
    await eventually(database.forgotten, within=60)
    assert await database.remains() == []

    async def gone() -> bool:
        return not await installation.command("network", "ls", "--quiet", "--filter", f"label=dokploy.project={database.project}")

    await eventually(gone, within=30)


async def test_what_is_deleted_keeps_its_volume_unless_that_is_asked_for(house: House, installation: Installation) -> None:
    database = await house.database("redis")
    label = f"dokploy.database={database.id}"
    assert (await installation.owner.delete(database.path)).status_code == 204
    await eventually(database.forgotten, within=60)
    kept = await installation.engine.volume_names(label)
    assert kept == [f"{database.service_name}-data"]
    await installation.command("volume", "rm", *kept)
    await asyncio.sleep(0)
