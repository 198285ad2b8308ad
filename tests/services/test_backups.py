"""Backups of databases, as the API has them."""

import json
from typing import Any

import pytest

import models
import workers
from models import BackupTrigger, StorageKind, TaskStatus
from models.s3 import s3 as described
from models.settings import settings
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from tests.services.place import backed_up, running

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


@pytest.fixture
async def database(api: Api) -> models.Database:
    """One that runs, with nothing under way."""
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, "orders")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is configured; nobody asks it anything."""
    given = {"bucket": "backups", "accessKeyId": "key", "secretAccessKey": "secret"}
    monkeypatch.setattr(settings(), "backup_s3", described(json.dumps(given)))


async def refused(api: Api, over: Transport, id: str, ids: tuple[Any, ...], input: dict[str, Any] | None = None) -> tuple[Any, Any]:
    outcome = await ask(over, api.owner, id, tuple(map(str, ids)), input)
    return outcome.code, outcome.details.get("reason")


@BOTH
async def test_a_backup_waits_for_its_turn(api: Api, database: models.Database, over: Transport) -> None:
    outcome = await ask(over, api.owner, "databases.backup", str(database.id), {})
    id = outcome.data["backupId"]
    assert outcome.data["status"] == "pending"
    row = await models.DatabaseBackup.get(id=id)
    about = (row.trigger, row.type, row.version, row.compress, row.storage, row.encrypted, row.epoch)
    assert about == (BackupTrigger.manual, database.type, database.version, True, StorageKind.local, False, 0)
    assert row.name.startswith("orders-")
    assert row.project_id == database.project_id


async def test_a_new_backup_is_linked_to_by_both_ids(api: Api, database: models.Database) -> None:
    made = await api.owner.made(f"/databases/{database.id}/backup", {"name": "before the sale"})
    path = f"/api/databases/{database.id}/backups/{made['backupId']}"
    assert made["_links"] == {"backup": path, "restore": f"{path}/restore"}
    links = {"self": path, "restore": f"{path}/restore", "download": f"{path}/download", "database": f"/api/databases/{database.id}"}
    (listed,) = (await api.owner.get(f"/databases/{database.id}/backups")).json()["data"]
    shown = (await api.owner.get(path.removeprefix("/api"))).json()
    assert listed == shown
    assert (shown["name"], shown["_links"]) == ("before the sale", links)


@BOTH
@pytest.mark.usefixtures("bucket")
async def test_a_backup_is_made_as_it_was_asked_for(api: Api, database: models.Database, over: Transport) -> None:
    input = {"name": "one", "compress": False, "storage": "s3"}
    id = (await ask(over, api.owner, "databases.backup", str(database.id), input)).data["backupId"]
    shown = (await ask(over, api.owner, "backups.get", (str(database.id), id))).data
    assert {name: shown[name] for name in input} == input


@BOTH
async def test_without_a_bucket_nothing_is_asked_to_go_there(
    api: Api, database: models.Database, over: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = await backed_up(database)
    refusal = ("CONFLICT", "STORAGE_NOT_CONFIGURED")
    nightly = {"cron": "0 3 * * *", "storage": "s3"}
    assert await refused(api, over, "databases.backup", (database.id,), {"storage": "s3"}) == refusal
    assert await refused(api, over, "backup_schedules.replace", (database.id,), nightly) == refusal
    monkeypatch.setattr(settings(), "backup_storage", "s3")
    assert await refused(api, over, "databases.backup", (database.id,), {}) == refusal
    assert await refused(api, over, "backups.restore", (database.id, backup.id), {}) == refusal
    assert await models.DatabaseBackup.all().count() == 1
    assert (await models.Database.get(id=database.id)).schedule is None


@BOTH
@pytest.mark.usefixtures("bucket")
async def test_with_a_bucket_a_schedule_may_name_it(api: Api, database: models.Database, over: Transport) -> None:
    outcome = await ask(over, api.owner, "backup_schedules.replace", str(database.id), {"cron": "0 3 * * *", "storage": "s3"})
    assert (outcome.code, outcome.data["storage"]) == (None, "s3")


@pytest.mark.usefixtures("bucket")
async def test_a_backup_goes_where_the_schedule_or_else_the_installation_says(
    api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "backup_encryption", True)
    await models.Database.filter(id=database.id).update(schedule={"storage": "s3"})
    await api.owner.made(f"/databases/{database.id}/backup", {})
    await models.Database.filter(id=database.id).update(schedule=None)
    await api.owner.made(f"/databases/{database.id}/backup", {})
    rows = await models.DatabaseBackup.all().order_by("id")
    assert [(row.storage, row.encrypted) for row in rows] == [(StorageKind.s3, True), (StorageKind.local, True)]


@BOTH
@pytest.mark.parametrize("name", ["", "../etc", ".hidden", "a/b", "a\nb", "ä", "x" * 101])
async def test_a_name_is_one_that_a_file_can_have(api: Api, database: models.Database, over: Transport, name: str) -> None:
    outcome = await ask(over, api.owner, "databases.backup", str(database.id), {"name": name})
    assert (outcome.code, list(outcome.fields)) == ("VALIDATION_ERROR", ["name"])


async def test_backups_are_listed_the_newest_first_filtered_and_paged(api: Api, database: models.Database) -> None:
    ids = [str((await backed_up(database, name=name, size=size)).id) for name, size in (("a", 30), ("b", 10), ("c", 20))]
    await workers.database_wishes.back_up(database, name="later", trigger=BackupTrigger.schedule)
    other = await running(await models.Project.get(id=database.project_id), "sales")
    await backed_up(other)
    path = f"/databases/{database.id}/backups"
    assert [each["name"] for each in (await api.owner.get(path)).json()["data"]] == ["later", "c", "b", "a"]
    for query, names in {
        "status=completed": ["c", "b", "a"],
        "trigger=schedule": ["later"],
        "trigger=upload": [],
        "status=completed&sort=size&order=asc": ["b", "c", "a"],
        "sort=name": ["a", "b", "c", "later"],
        "limit=2": ["later", "c"],
    }.items():
        found = (await api.owner.get(f"{path}?{query}")).json()
        assert [each["name"] for each in found["data"]] == names, query
    first = (await api.owner.get(f"{path}?limit=3")).json()["pagination"]
    rest = (await api.owner.get(path, params={"limit": 3, "cursor": first["nextCursor"]})).json()
    assert [each["id"] for each in rest["data"]] == ids[:1]
    assert first["total"] == 4


async def test_graphql_lists_backups_among_the_fields_of_their_database(api: Api, database: models.Database) -> None:
    backup = await backed_up(database, size=6_000_000_000)
    query = "query ($id: ID!) { database(id: $id) { backups(status: completed) { nodes { id size transferred } totalCount } } }"
    found = (await api.owner.graphql(query, id=str(database.id)))["data"]["database"]["backups"]
    assert found == {"nodes": [{"id": str(backup.id), "size": 6_000_000_000, "transferred": 0}], "totalCount": 1}


@BOTH
async def test_a_backup_is_found_below_its_own_database_only(api: Api, database: models.Database, over: Transport) -> None:
    other = await running(await models.Project.get(id=database.project_id), "sales")
    backup = await backed_up(other)
    for id, input in (("backups.get", None), ("backups.delete", None), ("backups.cancel", None), ("backups.restore", {})):
        assert (await refused(api, over, id, (database.id, backup.id), input))[0] == "RESOURCE_NOT_FOUND"
    assert await models.DatabaseBackup.filter(deleted_at__isnull=True).count() == 1


@BOTH
@pytest.mark.parametrize("status", [TaskStatus.completed, TaskStatus.failed, TaskStatus.cancelled])
async def test_a_backup_that_has_ended_is_deleted_once(api: Api, database: models.Database, over: Transport, status: TaskStatus) -> None:
    ids = (database.id, (await backed_up(database, status=status)).id)
    assert await refused(api, over, "backups.delete", ids) == (None, None)
    assert (await refused(api, over, "backups.delete", ids))[0] == "RESOURCE_NOT_FOUND"
    assert (await refused(api, over, "backups.get", ids))[0] == "RESOURCE_NOT_FOUND"
    assert (await ask(over, api.owner, "databases.backups", str(database.id))).data == []


@BOTH
@pytest.mark.parametrize("status", [TaskStatus.pending, TaskStatus.running])
async def test_a_backup_that_is_being_made_is_not_deleted(api: Api, database: models.Database, over: Transport, status: TaskStatus) -> None:
    backup = await backed_up(database, status=status)
    assert await refused(api, over, "backups.delete", (database.id, backup.id)) == ("CONFLICT", "NOT_ENDED")


@BOTH
async def test_a_backup_that_is_being_restored_is_not_deleted(api: Api, database: models.Database, over: Transport) -> None:
    backup = await backed_up(database)
    await workers.database_wishes.restore(database, backup, safely=False)
    assert await refused(api, over, "backups.delete", (database.id, backup.id)) == ("CONFLICT", "BUSY")


@BOTH
async def test_a_backup_that_waits_is_cancelled_at_once(api: Api, database: models.Database, over: Transport) -> None:
    ids = (str(database.id), str((await workers.database_wishes.back_up(database, name=None)).id))
    assert (await ask(over, api.owner, "backups.cancel", ids)).data["status"] == "cancelled"
    shown = (await ask(over, api.owner, "backups.get", ids)).data
    assert (shown["status"], shown["finishedAt"] is None) == ("cancelled", False)


@BOTH
async def test_a_backup_that_runs_is_asked_to_end(api: Api, database: models.Database, over: Transport) -> None:
    backup = await backed_up(database, status=TaskStatus.running, finished_at=None)
    asked = []
    for _ in range(2):
        outcome = await ask(over, api.owner, "backups.cancel", (str(database.id), str(backup.id)))
        assert outcome.data["status"] == "running"
        asked.append((await models.DatabaseBackup.get(id=backup.id)).cancel_requested_at)
    assert asked[0] is not None
    assert asked[0] == asked[1], "asked again it changes nothing"


@BOTH
@pytest.mark.parametrize("status", [TaskStatus.completed, TaskStatus.failed, TaskStatus.cancelled])
async def test_a_backup_that_has_ended_is_not_cancelled(api: Api, database: models.Database, over: Transport, status: TaskStatus) -> None:
    backup = await backed_up(database, status=status)
    assert await refused(api, over, "backups.cancel", (database.id, backup.id)) == ("CONFLICT", "ALREADY_ENDED")
