"""Restores of databases, as the API has them."""

from typing import Any

import pytest

import models
import workers
from models import BackupTrigger, TaskStatus
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from tests.services.place import backed_up, running

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


@pytest.fixture
async def database(api: Api) -> models.Database:
    """One that runs, with nothing under way."""
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, "orders", configuration={"maxConnections": 50})


async def restored(api: Api, over: Transport, backup: models.DatabaseBackup, **input: Any) -> Any:
    return await ask(over, api.owner, "backups.restore", (str(backup.database_id), str(backup.id)), input)


@BOTH
async def test_a_backup_of_what_is_there_is_made_first(api: Api, database: models.Database, over: Transport) -> None:
    backup = await backed_up(database)
    outcome = await restored(api, over, backup)
    assert (outcome.data["status"], outcome.data["databaseId"]) == ("pending", str(database.id))
    row = await models.DatabaseRestore.get(id=outcome.data["id"])
    safety = await models.DatabaseBackup.get(id=row.safety_backup_id)
    assert (safety.trigger, safety.status, safety.name) == (BackupTrigger.safety, TaskStatus.pending, "before-nightly")
    assert safety.id < row.id, "it comes first"
    shown = (await ask(over, api.owner, "restores.get", (str(database.id), str(row.id)))).data
    assert (shown["backupId"], shown["safetyBackupId"]) == (str(backup.id), str(safety.id))


@BOTH
async def test_a_restore_may_do_without(api: Api, database: models.Database, over: Transport) -> None:
    outcome = await restored(api, over, await backed_up(database), safetyBackup=False)
    assert (await models.DatabaseRestore.get(id=outcome.data["id"])).safety_backup_id is None
    assert await models.DatabaseBackup.filter(trigger=BackupTrigger.safety).count() == 0


@BOTH
async def test_a_backup_is_restored_into_a_new_database(api: Api, database: models.Database, over: Transport) -> None:
    outcome = await restored(api, over, await backed_up(database), newDatabaseName="orders-2")
    made = await models.Database.get(name="orders-2")
    assert outcome.data["databaseId"] == str(made.id)
    same = ("project_id", "type", "version", "configuration", "memory_limit", "storage_size")
    assert [getattr(made, name) for name in same] == [getattr(database, name) for name in same]
    assert made.volume != database.volume
    assert made.credentials["password"] != database.credentials["password"]
    assert (made.wished, made.granted) == (1, 0)
    row = await models.DatabaseRestore.get(id=outcome.data["id"])
    assert (row.database_id, row.safety_backup_id) == (made.id, None)
    if over == "rest":
        assert outcome.data["_links"] == {
            "self": f"/api/databases/{made.id}/restores/{row.id}",
            "database": f"/api/databases/{made.id}",
        }


@BOTH
async def test_a_new_database_takes_a_name_that_is_free(api: Api, database: models.Database, over: Transport) -> None:
    outcome = await restored(api, over, await backed_up(database), newDatabaseName="orders")
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})
    outcome = await restored(api, over, await backed_up(database), newDatabaseName="no name")
    assert outcome.fields == {"newDatabaseName": "regex"}
    assert not await models.DatabaseRestore.exists()


@BOTH
@pytest.mark.parametrize("status", [TaskStatus.pending, TaskStatus.running, TaskStatus.failed, TaskStatus.cancelled])
async def test_only_a_complete_backup_is_restored(api: Api, database: models.Database, over: Transport, status: TaskStatus) -> None:
    backup = await backed_up(database, status=status)
    for input in ({}, {"newDatabaseName": "orders-2"}):
        outcome = await restored(api, over, backup, **input)
        assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "BACKUP_NOT_COMPLETED"})
    assert await models.Database.all().count() == 1, "the new one has gone with what it was for"


@BOTH
async def test_a_stopped_database_cannot_be_backed_up_first(api: Api, database: models.Database, over: Transport) -> None:
    backup = await backed_up(database)
    await models.Database.filter(id=database.id).update(stopped=True)
    outcome = await restored(api, over, backup)
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "DATABASE_STOPPED"})


@BOTH
async def test_a_developer_backs_up_and_does_not_restore(api: Api, over: Transport) -> None:
    team, developer = await models.Team.create(name="Crew"), await api.person()
    await models.Membership.create(team=team, user_id=developer.id, role=models.TeamRole.developer)
    project = await models.Project.get(id=(await api.project(teamId=str(team.id)))["id"])
    database = await running(project, "orders")
    ids = (str(database.id), str((await backed_up(database)).id))
    assert (await ask(over, developer, "databases.backup", ids[0], {})).code is None
    assert (await ask(over, developer, "backups.restore", ids, {})).code == "FORBIDDEN"
    assert (await ask(over, developer, "backups.delete", ids)).code == "FORBIDDEN"


async def test_the_audit_trail_names_the_backup_and_the_restore(api: Api, database: models.Database) -> None:
    backup = await backed_up(database)
    made = await api.owner.made(f"/databases/{database.id}/backups/{backup.id}/restore", {"newDatabaseName": "orders-2"})
    (entry,) = await models.AuditEntry.filter(action="backups.restore")
    assert (entry.resource_type, str(entry.resource_id)) == ("database", str(database.id))
    given = dict(entry.fields_given)
    assert given == {"backupId": str(backup.id), "newDatabaseName": None, "databaseRestoreId": made["id"]}


async def test_restores_are_listed_below_their_database(api: Api, database: models.Database) -> None:
    backup = await backed_up(database)
    rows = [await workers.database_wishes.restore(database, backup, safely=False) for _ in range(2)]
    await api.owner.made(f"/databases/{database.id}/restores/{rows[0].id}/cancel", None)
    for query, expected in {"": [rows[1], rows[0]], "?status=cancelled": [rows[0]], "?status=running": []}.items():
        listed = (await api.owner.get(f"/databases/{database.id}/restores{query}")).json()["data"]
        assert [each["id"] for each in listed] == [str(row.id) for row in expected]
    assert listed == []
    query = "query ($id: ID!) { database(id: $id) { restores(status: pending) { nodes { id backupId } } } }"
    found = (await api.owner.graphql(query, id=str(database.id)))["data"]["database"]["restores"]["nodes"]
    assert found == [{"id": str(rows[1].id), "backupId": str(backup.id)}]


@BOTH
async def test_a_restore_that_waits_is_cancelled_at_once(api: Api, database: models.Database, over: Transport) -> None:
    row = await workers.database_wishes.restore(database, await backed_up(database), safely=True)
    ids = (str(database.id), str(row.id))
    assert (await ask(over, api.owner, "restores.cancel", ids)).data["status"] == "cancelled"
    outcome = await ask(over, api.owner, "restores.cancel", ids)
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "ALREADY_ENDED"})
    after = await models.Database.get(id=database.id)
    assert (after.status, after.wished, after.volume) == (database.status, database.wished, database.volume), "it had not begun"


@BOTH
async def test_a_restore_that_runs_is_asked_to_end(api: Api, database: models.Database, over: Transport) -> None:
    row = await workers.database_wishes.restore(database, await backed_up(database), safely=False)
    await models.DatabaseRestore.filter(id=row.id).update(status=TaskStatus.running)
    outcome = await ask(over, api.owner, "restores.cancel", (str(database.id), str(row.id)))
    assert outcome.data["status"] == "running"
    assert (await models.DatabaseRestore.get(id=row.id)).cancel_requested_at is not None


@BOTH
async def test_a_restore_of_another_database_is_not_found(api: Api, database: models.Database, over: Transport) -> None:
    other = await running(await models.Project.get(id=database.project_id), "sales")
    row = await workers.database_wishes.restore(other, await backed_up(other), safely=False)
    for id in ("restores.get", "restores.cancel"):
        assert (await ask(over, api.owner, id, (str(database.id), str(row.id)))).code == "RESOURCE_NOT_FOUND"


async def test_a_database_stays_while_another_one_is_filled_with_its_backup(api: Api, database: models.Database) -> None:
    backup = await backed_up(database)
    begun = await api.owner.made(f"/databases/{database.id}/backups/{backup.id}/restore", {"newDatabaseName": "orders-2"})
    refused = await api.owner.delete(f"/databases/{database.id}?deleteBackups=true")
    assert (refused.status_code, refused.json()["error"]["details"]) == (409, {"reason": "BUSY"})
    await api.owner.made(f"/databases/{begun['databaseId']}/restores/{begun['id']}/cancel", None)
    assert (await api.owner.delete(f"/databases/{database.id}?deleteBackups=true")).status_code == 204


async def test_what_is_changed_to_what_it_is_already_is_no_wish(api: Api, database: models.Database) -> None:
    await workers.database_wishes.back_up(database, name=None)
    same = {"name": database.name, "resources": {"memoryLimit": database.memory_limit}, "configuration": {"maxConnections": 50}}
    assert (await api.owner.patch(f"/databases/{database.id}", same)).status_code == 200
    assert (await models.Database.get(id=database.id)).wished == database.wished
    other = await api.owner.patch(f"/databases/{database.id}", {"name": "another"})
    assert (other.status_code, other.json()["error"]["details"]) == (409, {"reason": "BUSY"})
