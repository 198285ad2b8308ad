"""The chapter Databases: what can be asked for, what becomes of it in the rows, and who is told what."""

from typing import Any

import pytest

import models
import workers
from models.database import database as connection
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from tests.services.place import backed_up, running
from workers.databases.wishes import MOST_WAITING

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
NOBODY = "01900000-0000-7000-8000-000000000000"
SHOWN = "query ($id: ID!) { database(id: $id) { %s } }"


async def row(made: dict[str, Any]) -> models.Database:
    return await models.Database.get(id=made["id"])


async def one(api: Api, **columns: Any) -> models.Database:
    """A database that runs, with nothing under way."""
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, "orders", **columns)


async def refused(api: Api, over: Transport, **body: Any) -> dict[str, str]:
    """The constraint of each problem that a creation is refused for."""
    input = {"name": "orders", "type": "postgresql", "projectId": (await api.project())["id"], **body}
    outcome = await ask(over, api.owner, "databases.create", input=input)
    assert outcome.code == "VALIDATION_ERROR"
    assert not await models.Database.exists()
    return outcome.fields


@BOTH
async def test_a_database_of_which_nothing_is_said_is_the_newest_of_its_type(api: Api, over: Transport) -> None:
    project = await api.project()
    for kind, version in (("postgresql", "18"), ("mysql", "9"), ("mongodb", "8"), ("redis", "8")):
        input = {"name": f"a-{kind}", "type": kind, "projectId": project["id"]}
        made = (await ask(over, api.owner, "databases.create", input=input)).data
        assert (made["version"], made["status"], made["size"], made["errorMessage"]) == (version, "pending", None, None)
        assert made["resources"] == {
            "memoryLimit": 512,
            "storageSize": 10_240,
            "currentMemory": None,
            "currentStorage": None,
            "storageAlert": False,
        }
        assert set(made["statistics"].values()) == set(made["configuration"].values()) == {None}
        assert made["serviceName"].startswith(f"a-{kind}-")


async def test_a_new_database_links_to_itself_its_backups_and_its_logs(api: Api) -> None:
    made = await api.database()
    links = {"self": f"/api/databases/{made['id']}", "backups": f"/api/databases/{made['id']}/backups"}
    more = {name: f"/api/databases/{made['id']}/{name}" for name in ("logs", "metrics")}
    assert made["_links"] == links | more
    assert (await api.owner.get(f"/databases/{made['id']}")).json()["_links"] == links | more
    for path in ("/databases", f"/projects/{made['projectId']}/databases"):
        (listed,) = (await api.owner.get(path)).json()["data"]
        assert listed["_links"] == links


async def test_a_new_database_is_wished_for_and_has_passwords_of_its_own(api: Api) -> None:
    one, two = await row(await api.database(name="Shop-1")), await row(await api.database(name="Shop-1"))
    assert (one.wished, one.granted, one.status) == (1, 0, models.DatabaseStatus.pending)
    assert one.credentials["database"] == "shop_1"
    assert one.volume != two.volume
    assert len({each.credentials[key] for each in (one, two) for key in ("password", "admin_password")}) == 4
    raw = await connection().execute_query_dict("select credentials from database where id = $1", [one.id])
    assert one.credentials["password"] not in raw[0]["credentials"]


@BOTH
@pytest.mark.parametrize(("type", "known"), [("postgresql", "18, 17, 16, 15, 14"), ("mysql", "9, 8.4, 8"), ("redis", "8, 7")])
async def test_a_version_is_one_of_those_that_are_looked_after(api: Api, over: Transport, type: str, known: str) -> None:
    project = await api.project()
    for version in ("1", "latest", "16-alpine", "../evil"):
        input = {"name": "orders", "type": type, "version": version, "projectId": project["id"]}
        outcome = await ask(over, api.owner, "databases.create", input=input)
        assert outcome.fields == {"version": "enum"}
        assert known in outcome.details["errors"][0]["message"]
    input = {"name": "orders", "type": type, "version": known.rpartition(", ")[2], "projectId": project["id"]}
    assert (await ask(over, api.owner, "databases.create", input=input)).data["version"] == input["version"]


@BOTH
async def test_a_setting_that_the_type_does_not_have_is_refused_by_its_name(api: Api, over: Transport) -> None:
    given = {"maxMemory": "100MB", "maxMemoryPolicy": "noeviction", "wiredTigerCacheSize": "256MB"}
    assert await refused(api, over, configuration=given) == {f"configuration.{name}": "unknown" for name in given}


async def test_a_setting_that_no_type_has_is_no_field(api: Api) -> None:
    assert await refused(api, "rest", configuration={"walLevel": "minimal"}) == {"configuration.walLevel": "unknown"}


@BOTH
@pytest.mark.parametrize(
    ("type", "given", "shown"),
    [
        ("postgresql", {"maxConnections": 50, "sharedBuffers": "64mb"}, {"maxConnections": 50, "sharedBuffers": "64MB"}),
        ("mysql", {"innodbBufferPoolSize": "1G"}, {"sharedBuffers": "1024MB"}),
        ("mongodb", {"maxConns": 9, "wiredTigerCacheSize": "256M"}, {"maxConnections": 9, "sharedBuffers": "256MB"}),
        (
            "redis",
            {"maxclients": 7, "maxmemory": "1GB", "maxmemoryPolicy": "allkeys-lru"},
            {"maxConnections": 7, "maxMemory": "1024MB", "maxMemoryPolicy": "allkeys-lru"},
        ),
        ("redis", {"maxMemoryPolicy": None}, {}),
    ],
)
async def test_settings_have_the_names_of_their_engine_too(
    api: Api, over: Transport, type: str, given: dict[str, Any], shown: dict[str, Any]
) -> None:
    input = {"name": "orders", "type": type, "projectId": (await api.project())["id"], "configuration": given}
    outcome = await ask(over, api.owner, "databases.create", input=input | {"resources": {"memoryLimit": 2048}})
    assert {name: value for name, value in outcome.data["configuration"].items() if value is not None} == shown


@BOTH
async def test_a_setting_is_not_given_by_both_of_its_names(api: Api, over: Transport) -> None:
    given = {"sharedBuffers": "64MB", "innodbBufferPoolSize": "64MB"}
    assert list((await refused(api, over, type="mysql", configuration=given)).values()) == ["unique"]


@BOTH
@pytest.mark.parametrize(
    ("given", "constraint"),
    [
        ({"sharedBuffers": "410MB"}, "range"),
        ({"sharedBuffers": "1GB"}, "range"),
        ({"sharedBuffers": "0MB"}, "range"),
        ({"sharedBuffers": "lots"}, "regex"),
        ({"sharedBuffers": "²M"}, "regex"),
        ({"sharedBuffers": "256"}, "regex"),
        ({"sharedBuffers": "1MB; rm"}, "regex"),
        ({"sharedBuffers": "M"}, "length"),
        ({"maxConnections": 4}, "range"),
        ({"maxConnections": 10_001}, "range"),
        ({"maxConnections": 1_000_000_000}, "range"),
    ],
)
async def test_a_setting_is_within_what_its_engine_and_its_memory_allow(
    api: Api, over: Transport, given: dict[str, Any], constraint: str
) -> None:
    found = await refused(api, over, resources={"memoryLimit": 1024}, configuration=given)
    assert found == {f"configuration.{next(iter(given))}": constraint}


async def test_shared_buffers_may_be_two_fifths_of_the_memory(api: Api) -> None:
    made = await api.database(resources={"memoryLimit": 1024}, configuration={"sharedBuffers": "409MB"})
    assert (await row(made)).configuration == {"sharedBuffers": 409}


@BOTH
async def test_every_problem_of_a_configuration_is_told_at_once(api: Api, over: Transport) -> None:
    found = await refused(api, over, configuration={"sharedBuffers": "300MB", "maxConnections": 50_000, "maxmemory": "1GB"})
    assert found == {
        "configuration.sharedBuffers": "range",
        "configuration.maxConnections": "range",
        "configuration.maxmemory": "unknown",
    }


@BOTH
@pytest.mark.parametrize(("type", "least"), [("postgresql", 128), ("mysql", 384), ("mongodb", 512), ("redis", 32)])
async def test_each_engine_takes_some_memory(api: Api, over: Transport, type: str, least: int) -> None:
    assert await refused(api, over, type=type, resources={"memoryLimit": least - 1}) == {"resources.memoryLimit": "range"}
    made = await api.database(type=type, resources={"memoryLimit": least})
    assert made["resources"]["memoryLimit"] == least


@BOTH
@pytest.mark.parametrize("given", [{"memoryLimit": 2_000_000}, {"storageSize": 63}, {"storageSize": -1}])
async def test_sizes_are_sizes_of_a_machine(api: Api, over: Transport, given: dict[str, int]) -> None:
    assert await refused(api, over, resources=given) == {f"resources.{name}": "range" for name in given}


@BOTH
@pytest.mark.parametrize(
    ("name", "constraint"),
    [("ab", "length"), ("x" * 51, "length"), ("-shop", "regex"), ("shop-", "regex"), ("my shop", "regex"), ("büro", "regex")],
)
async def test_a_name_is_one_of_a_network(api: Api, over: Transport, name: str, constraint: str) -> None:
    assert await refused(api, over, name=name) == {"name": constraint}


@BOTH
async def test_a_name_is_unique_per_project_and_free_after_deletion(api: Api, over: Transport) -> None:
    made = await api.database(name="orders")
    input = {"name": "orders", "type": "redis", "projectId": made["projectId"]}
    taken = await ask(over, api.owner, "databases.create", input=input)
    assert (taken.code, taken.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})
    assert (await ask(over, api.owner, "databases.create", input=input | {"projectId": (await api.project())["id"]})).code is None
    assert (await ask(over, api.owner, "databases.delete", made["id"])).code is None
    assert (await ask(over, api.owner, "databases.create", input=input)).code is None


@BOTH
async def test_a_project_that_is_not_seen_is_422(api: Api, over: Transport) -> None:
    stranger, project = await api.person(), await api.project()
    for person, id in ((stranger, project["id"]), (api.owner, NOBODY), (api.owner, "nonsense")):
        outcome = await ask(over, person, "databases.create", input={"name": "orders", "type": "redis", "projectId": id})
        assert (outcome.code, outcome.details) == ("UNPROCESSABLE_ENTITY", {"field": "projectId"})


@BOTH
async def test_a_connection_string_shows_no_password(api: Api, over: Transport) -> None:
    wanted = {
        "postgresql": "postgresql://app:***@{host}:5432/shop",
        "mysql": "mysql://app:***@{host}:3306/shop",
        "mongodb": "mongodb://app:***@{host}:27017/shop",
        "redis": "redis://default:***@{host}:6379/0",
    }
    for kind, pattern in wanted.items():
        made = await api.database(name="Shop", type=kind)
        shown = (await ask(over, api.owner, "databases.get", made["id"])).data
        assert shown["connectionString"].partition("?")[0] == pattern.format(host=made["serviceName"])
        secret = (await row(made)).credentials
        for password in (secret["password"], secret["admin_password"]):
            assert password not in str(shown)


@BOTH
async def test_credentials_are_shown_to_a_developer_and_each_look_is_entered(api: Api, over: Transport) -> None:
    made = await api.database(name="Shop")
    stored = (await row(made)).credentials
    outcome = await ask(over, api.owner, "databases.credentials", made["id"])
    host = made["serviceName"]
    assert outcome.data == {
        "username": "app",
        "password": stored["password"],
        "database": "shop",
        "host": host,
        "port": 5432,
        "connectionString": f"postgresql://app:{stored['password']}@{host}:5432/shop",
    }
    (entry,) = await models.AuditEntry.filter(action="databases.credentials")
    assert (entry.outcome, entry.resource_type, str(entry.resource_id)) == ("success", "database", made["id"])
    assert stored["password"] not in str(entry.fields_given)


@BOTH
async def test_credentials_are_no_viewers_and_asking_is_entered(api: Api, over: Transport) -> None:
    team, viewer = await models.Team.create(name="Crew"), await api.person()
    await models.Membership.create(team=team, user_id=viewer.id, role=models.TeamRole.viewer)
    made = await api.database(await api.project(teamId=str(team.id)))
    assert (await ask(over, viewer, "databases.get", made["id"])).code is None
    assert (await ask(over, viewer, "databases.credentials", made["id"])).code == "FORBIDDEN"
    (entry,) = await models.AuditEntry.filter(action="databases.credentials")
    assert (entry.outcome, entry.username) == ("FORBIDDEN", viewer.username)


async def test_the_audit_trail_has_what_was_asked_for(api: Api) -> None:
    made = await api.database(name="orders")
    await api.owner.made(f"/databases/{made['id']}/rotate-password", None)
    created, rotated = await models.AuditEntry.filter(action__startswith="databases.").order_by("id")
    assert dict(created.fields_given)["type"] == "postgresql"
    assert (rotated.action, str(rotated.resource_id)) == ("databases.rotate_password", made["id"])
    assert (await row(made)).credentials["next_password"] not in str(rotated.fields_given)


@BOTH
async def test_a_renamed_database_keeps_its_service_and_its_data(api: Api, over: Transport) -> None:
    before = await one(api)
    outcome = await ask(over, api.owner, "databases.update", str(before.id), {"name": "Sales"})
    after = await models.Database.get(id=before.id)
    assert outcome.data["name"] == after.name == "Sales"
    assert (after.service_name, after.volume, after.credentials) == (before.service_name, before.volume, before.credentials)
    assert after.wished == before.wished + 1
    assert after.updated_at > before.updated_at


@BOTH
async def test_a_name_that_is_taken_is_not_given_again(api: Api, over: Transport) -> None:
    first = await api.database(name="orders")
    other = await api.database(name="sales", projectId=first["projectId"])
    outcome = await ask(over, api.owner, "databases.update", other["id"], {"name": "orders"})
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})
    assert (await row(other)).wished == 1


@BOTH
async def test_other_resources_and_settings_are_wished_for(api: Api, over: Transport) -> None:
    before = await one(api, type=models.DatabaseType.postgresql, version="16", memory_limit=1024, configuration={"maxConnections": 50})
    outcome = await ask(over, api.owner, "databases.update", str(before.id), {"resources": {"memoryLimit": 2048}})
    assert (outcome.data["resources"]["memoryLimit"], outcome.data["resources"]["storageSize"]) == (2048, 1024)
    assert outcome.data["configuration"]["maxConnections"] == 50
    outcome = await ask(over, api.owner, "databases.update", str(before.id), {"configuration": {"sharedBuffers": "800MB"}})
    after = await models.Database.get(id=before.id)
    assert after.configuration == {"sharedBuffers": 800}
    assert after.wished == before.wished + 2
    await ask(over, api.owner, "databases.update", str(before.id), {"configuration": None})
    assert (await models.Database.get(id=before.id)).configuration == {}


@BOTH
async def test_settings_are_held_against_the_memory_that_is_given_with_them(api: Api, over: Transport) -> None:
    made = await one(api, type=models.DatabaseType.postgresql, version="16", memory_limit=1024)
    for input, fields in (
        ({"configuration": {"sharedBuffers": "500MB"}}, {"configuration.sharedBuffers": "range"}),
        ({"resources": {"memoryLimit": 64}}, {"resources.memoryLimit": "range"}),
        ({"configuration": {"maxMemory": "100MB"}}, {"configuration.maxMemory": "unknown"}),
    ):
        assert (await ask(over, api.owner, "databases.update", str(made.id), input)).fields == fields
    both = {"resources": {"memoryLimit": 2048}, "configuration": {"sharedBuffers": "500MB"}}
    assert (await ask(over, api.owner, "databases.update", str(made.id), both)).code is None


@BOTH
async def test_less_memory_than_the_settings_take_is_refused(api: Api, over: Transport) -> None:
    made = await one(
        api, type=models.DatabaseType.postgresql, version="16", memory_limit=1024, configuration={"sharedBuffers": 400, "maxConnections": 9}
    )
    outcome = await ask(over, api.owner, "databases.update", str(made.id), {"resources": {"memoryLimit": 512}})
    assert outcome.fields == {"resources.memoryLimit": "range"}
    assert "sharedBuffers" in outcome.details["errors"][0]["message"]
    less = {"resources": {"memoryLimit": 512}, "configuration": {"sharedBuffers": "200MB"}}
    assert (await ask(over, api.owner, "databases.update", str(made.id), less)).code is None


@BOTH
async def test_an_empty_change_wishes_for_nothing(api: Api, over: Transport) -> None:
    made = await one(api)
    assert (await ask(over, api.owner, "databases.update", str(made.id), {})).code is None
    assert (await models.Database.get(id=made.id)).wished == made.wished


@BOTH
async def test_stopping_and_starting_are_wishes(api: Api, over: Transport) -> None:
    made = await one(api)
    assert (await ask(over, api.owner, "databases.stop", str(made.id))).code is None
    stopped = await models.Database.get(id=made.id)
    assert (stopped.stopped, stopped.wished) == (True, made.wished + 1)
    outcome = await ask(over, api.owner, "databases.start", str(made.id))
    started = await models.Database.get(id=made.id)
    assert outcome.data == {"id": str(made.id), "status": "starting"} | ({"_links": outcome.data["_links"]} if over == "rest" else {})
    assert (started.stopped, started.wished) == (False, made.wished + 2)


@BOTH
async def test_a_restart_takes_another_container_each_time(api: Api, over: Transport) -> None:
    made = await one(api)
    wishes = []
    for _ in range(2):
        assert (await ask(over, api.owner, "databases.restart", str(made.id))).code is None
        wishes.append((await models.Database.get(id=made.id)).restart_wish)
    assert 0 < wishes[0] < wishes[1]


@BOTH
async def test_another_password_is_shown_once_it_holds(api: Api, over: Transport) -> None:
    made = await one(api)
    assert (await ask(over, api.owner, "databases.rotate_password", str(made.id))).code is None
    wished = await models.Database.get(id=made.id)
    assert wished.wished == made.wished + 1
    assert wished.credentials["next_password"] not in made.credentials.values()
    assert {**wished.credentials, "next_password": None} == {**made.credentials, "next_password": None}
    shown = (await ask(over, api.owner, "databases.credentials", str(made.id))).data
    assert shown["password"] == made.credentials["password"]


@BOTH
@pytest.mark.parametrize("verb", ["restart", "rotate_password", "backup"])
async def test_what_takes_a_server_is_refused_while_it_is_stopped(api: Api, over: Transport, verb: str) -> None:
    made = await one(api)
    await models.Database.filter(id=made.id).update(stopped=True)
    outcome = await ask(over, api.owner, f"databases.{verb}", str(made.id))
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "DATABASE_STOPPED"})
    assert (await models.Database.get(id=made.id)).wished == made.wished


@BOTH
@pytest.mark.parametrize("verb", ["stop", "restart", "rotate_password"])
async def test_a_database_that_is_backed_up_or_restored_is_left_alone(api: Api, over: Transport, verb: str) -> None:
    backed, restored = await one(api), await one(api)
    await workers.database_wishes.back_up(backed, name=None)
    owner = {"database_id": restored.id, "project_id": restored.project_id, "status": models.TaskStatus.running}
    await models.DatabaseRestore.create(backup=await backed_up(restored), **owner)
    for each in (backed, restored):
        outcome = await ask(over, api.owner, f"databases.{verb}", str(each.id))
        assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "BUSY"})


@BOTH
async def test_a_server_is_not_changed_while_it_is_backed_up(api: Api, over: Transport) -> None:
    made = await one(api)
    await workers.database_wishes.back_up(made, name=None)
    for input in ({"name": "sales"}, {"resources": {"memoryLimit": 512}}, {"configuration": {"maxConnections": 50}}):
        outcome = await ask(over, api.owner, "databases.update", str(made.id), input)
        assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "BUSY"})
    assert (await models.Database.get(id=made.id)).wished == made.wished


@BOTH
async def test_a_deleted_database_is_gone_at_once(api: Api, over: Transport) -> None:
    made = await one(api)
    backup = await backed_up(made)
    waiting = await workers.database_wishes.back_up(made, name=None)
    assert (await ask(over, api.owner, "databases.delete", str(made.id))).code is None
    for id, ids in (("databases.get", str(made.id)), ("backups.get", (str(made.id), str(backup.id))), ("databases.delete", str(made.id))):
        assert (await ask(over, api.owner, id, ids)).code == "RESOURCE_NOT_FOUND"
    assert (await ask(over, api.owner, "databases.list")).data == []
    gone = await models.Database.get(id=made.id)
    assert (gone.wished, gone.delete_volumes, gone.delete_backups) == (made.wished + 1, False, False)
    assert (await models.DatabaseBackup.get(id=waiting.id)).status is models.TaskStatus.cancelled
    node = await api.owner.graphql("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[str(made.id), str(backup.id)])
    assert node["data"]["nodes"] == [None, None]


@BOTH
async def test_what_a_deletion_takes_along_is_asked_for(api: Api, over: Transport) -> None:
    arguments = {"deleteVolumes": True, "deleteBackups": True} if over == "rest" else {"delete_volumes": True, "delete_backups": True}
    made = await one(api)
    assert (await ask(over, api.owner, "databases.delete", str(made.id), **arguments)).code is None
    gone = await models.Database.get(id=made.id)
    assert (gone.delete_volumes, gone.delete_backups) == (True, True)


async def test_what_runs_is_asked_to_end_when_its_database_goes(api: Api) -> None:
    made = await one(api)
    backup = await backed_up(made, status=models.TaskStatus.running, finished_at=None)
    await api.owner.delete(f"/databases/{made.id}")
    found = await models.DatabaseBackup.get(id=backup.id)
    assert found.status is models.TaskStatus.running
    assert found.cancel_requested_at is not None


@BOTH
async def test_a_project_with_a_database_is_not_deleted(api: Api, over: Transport) -> None:
    made = await api.database()
    outcome = await ask(over, api.owner, "projects.delete", made["projectId"])
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NOT_EMPTY"})
    await api.owner.delete(f"/databases/{made['id']}")
    assert (await ask(over, api.owner, "projects.delete", made["projectId"])).code is None


@BOTH
async def test_a_project_lists_and_counts_its_databases(api: Api, over: Transport) -> None:
    project = await api.project()
    made = [await api.database(project) for _ in range(3)]
    await api.database()
    await api.owner.delete(f"/databases/{made.pop()['id']}")
    listed = (await ask(over, api.owner, "projects.databases", project["id"])).data
    assert {each["id"] for each in listed} == {each["id"] for each in made}
    shown = (await ask(over, api.owner, "projects.get", project["id"])).data
    assert shown["statistics"]["databaseCount"] == 2


async def test_the_list_is_filtered_searched_sorted_and_counted(api: Api) -> None:
    project = await api.project()
    for name, kind in (("alpha", "postgresql"), ("Beta", "mysql"), ("gamma", "redis")):
        await api.database(project, name=name, type=kind)
    await api.database(name="elsewhere", type="redis")
    await models.Database.filter(name="gamma").update(status=models.DatabaseStatus.running)
    for query, names in {
        "type=mysql": ["Beta"],
        "type=redis&status=running": ["gamma"],
        "statusIn=running&statusIn=error": ["gamma"],
        "search=ALP": ["alpha"],
        f"projectId={project['id']}&sort=name&order=desc": ["gamma", "alpha", "Beta"],
        f"projectId={NOBODY}": [],
        "createdTo=2020-01-01T00:00:00Z": [],
    }.items():
        body = (await api.owner.get(f"/databases?{query}")).json()
        assert sorted(each["name"] for each in body["data"]) == sorted(names), query
        assert body["pagination"]["total"] == len(names)
    for query in ("type=oracle", "status=asleep", "projectId=nonsense"):
        assert (await api.owner.get(f"/databases?{query}")).status_code == 400


async def test_what_was_measured_is_shown_in_both_with_its_units(api: Api) -> None:
    large = 5_000_000_000_000
    measured = {"connections": 12, "queries": large, "cache_hit_rate": 0.95, "current_memory": 768, "current_storage": 9_500}
    made = await one(api, size=large, storage_alert=True, **measured)
    body = (await api.owner.get(f"/databases/{made.id}")).json()
    fields = "size statistics { connections queries cacheHitRate } resources { currentMemory currentStorage storageAlert }"
    asked = (await api.owner.graphql(SHOWN % fields, id=str(made.id)))["data"]["database"]
    for shown in (body, asked):
        assert (shown["size"], type(shown["size"])) == (large, int)
        statistics = shown["statistics"]
        assert (statistics["connections"], statistics["queries"], statistics["cacheHitRate"]) == (12, large, 0.95)
        assert type(statistics["queries"]) is int
        resources = shown["resources"]
        assert (resources["currentMemory"], resources["currentStorage"], resources["storageAlert"]) == (768, 9_500, True)


async def test_a_database_says_why_it_does_not_run(api: Api) -> None:
    made = await one(api, status=models.DatabaseStatus.error, error_message="The image of this version cannot be had.")
    await models.Database.filter(id=made.id).update(status=models.DatabaseStatus.error)
    body = (await api.owner.get(f"/databases/{made.id}")).json()
    assert (body["status"], body["errorMessage"]) == ("error", "The image of this version cannot be had.")


async def test_only_so_many_backups_and_restores_of_a_database_wait(api: Api) -> None:
    made = await one(api)
    backup = await backed_up(made)
    for _ in range(MOST_WAITING):
        await api.owner.made(f"/databases/{made.id}/backup", {})
    for path in ("backup", f"backups/{backup.id}/restore"):
        for body in ({}, {"safetyBackup": False}) if "restore" in path else ({},):
            answer = await api.owner.post(f"/databases/{made.id}/{path}", body)
            assert (answer.status_code, answer.json()["error"]["details"]) == (409, {"reason": "TOO_MANY"})


async def test_a_wish_for_what_has_just_been_deleted_is_a_conflict(api: Api) -> None:
    made = await one(api)
    await models.Database.filter(id=made.id).update(deleted_at=made.created_at)
    with pytest.raises(workers.Contradiction, match="deleted"):
        await workers.database_wishes.restart(made)
