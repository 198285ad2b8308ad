"""The audit trail: who did what to which resource, from where."""

import json
from typing import Any

import pytest

import models
from models.database import database
from tests.services.asking import Transport, ask
from tests.services.conftest import PASSWORD, Api, Person

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


async def entries(api: Api, **filters: str) -> list[dict[str, Any]]:
    """What the owner reads, the newest first."""
    body = (await api.owner.get("/audit", params=filters)).json()
    return list(body["data"])


def given(entry: dict[str, Any]) -> dict[str, str | None]:
    return {each["name"]: each["value"] for each in entry["fields"]}


async def admin_of(api: Api) -> tuple[Person, str]:
    person, team = await api.person(), (await api.owner.made("/teams", {"name": "Crew"}))["id"]
    await api.owner.made(f"/teams/{team}/members", {"userId": person.id, "role": "admin"})
    return person, team


@BOTH
async def test_a_change_is_entered_with_who_what_where_and_the_request(api: Api, over: Transport) -> None:
    application = await api.application()
    outcome = await ask(over, api.owner, "applications.scale", application["id"], {"replicas": 2})
    assert outcome.code is None
    (entry,) = await entries(api, action="applications.scale")
    assert (entry["username"], entry["userId"], entry["outcome"]) == ("owner", api.owner.id, "success")
    assert (entry["resourceType"], entry["resourceId"], given(entry)) == ("application", application["id"], {"replicas": "2"})
    assert entry["address"] == "127.0.0.1"
    assert entry["requestId"].startswith("req-")


async def test_the_request_id_is_the_one_of_the_answer(api: Api) -> None:
    answer = await api.owner.post("/projects", {"name": "Boat"}, headers={"X-Request-ID": "sane-1"})
    (entry,) = await entries(api, action="projects.create")
    assert entry["requestId"] == answer.headers["X-Request-ID"] == "sane-1"
    assert (entry["resourceType"], entry["resourceId"]) == ("project", answer.json()["id"])


@BOTH
async def test_a_deployment_that_was_started_is_named(api: Api, over: Transport) -> None:
    application = await api.application()
    started = (await ask(over, api.owner, "applications.deploy", application["id"], {})).data
    (entry,) = await entries(api, resourceId=application["id"], action="applications.deploy")
    assert given(entry)["deploymentId"] == started["deploymentId"]


@BOTH
async def test_a_members_new_role_is_readable(api: Api, over: Transport) -> None:
    person, team = await admin_of(api)
    changed = (await ask(over, api.owner, "members.update", (team, person.id), {"role": "viewer"})).data
    (entry,) = await entries(api, action="members.update")
    assert (entry["resourceType"], entry["resourceId"]) == ("team", team)
    assert given(entry) == {"userId": person.id, "role": "viewer", "memberId": changed["id"]}


@BOTH
async def test_what_is_forbidden_is_entered_too(api: Api, over: Transport) -> None:
    person = await api.person()
    assert (await ask(over, person, "teams.create", input={"name": "Mine"})).code == "FORBIDDEN"
    (entry,) = await entries(api, outcome="FORBIDDEN")
    assert (entry["action"], entry["username"]) == ("teams.create", person.username)


async def test_logins_are_entered_and_failed_ones_name_nobody(api: Api) -> None:
    await api.anonymous.post("/auth/login", {"username": "owner", "password": "wrong"})
    await api.anonymous.post("/auth/login", {"username": "owner", "password": PASSWORD})
    good, bad = (await entries(api, action="auth.login"))[:2]
    assert (good["outcome"], good["username"]) == ("success", "owner")
    assert (bad["outcome"], bad["username"], given(bad)) == ("UNAUTHORIZED", None, {"username": None, "password": None})


@BOTH
async def test_a_refused_or_read_request_is_not_entered(api: Api, over: Transport) -> None:
    before = await models.AuditEntry.all().count()
    assert (await ask(over, api.owner, "projects.create", input={"name": "!"})).code == "VALIDATION_ERROR"
    assert (await ask(over, api.owner, "projects.get", "none")).code == "RESOURCE_NOT_FOUND"
    assert (await ask(over, api.anonymous, "projects.create", input={"name": "Boat"})).code == "UNAUTHORIZED"
    assert await models.AuditEntry.all().count() == before


async def test_no_text_that_was_sent_is_kept(api: Api) -> None:
    canary = "canary-7f3a"
    project = await api.project(description=canary)
    variables = [{"key": "TOKEN", "value": canary, "isSecret": True}]
    application = await api.application(project, envVars=variables, image=f"busybox:{canary}")
    await api.owner.patch(f"/applications/{application['id']}", {"envVars": variables, "healthCheck": {"command": canary}})
    await api.owner.patch("/users/me", {"password": f"{canary}-long", "currentPassword": canary})
    rows = await database().execute_query_dict("select * from audit")
    assert len(rows) > 4
    assert canary not in json.dumps(rows, default=str)


@BOTH
async def test_operators_read_it_and_nobody_else(api: Api, over: Transport) -> None:
    person, _ = await admin_of(api)
    assert (await ask(over, api.anonymous, "audit.list")).code == "UNAUTHORIZED"
    assert (await ask(over, person, "audit.list")).code == "FORBIDDEN"
    await models.User.filter(id=person.id).update(role=models.GlobalRole.admin)
    assert (await ask(over, person, "audit.list")).data


async def test_an_entry_is_no_node_for_a_member(api: Api) -> None:
    person, _ = await admin_of(api)
    id = (await entries(api))[0]["id"]
    query = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await person.graphql(query, id=id))["data"]["node"] is None
    assert (await api.owner.graphql(query, id=id))["data"]["node"] == {"id": id}


async def test_it_pages_and_counts_to_a_cap(api: Api) -> None:
    entry = (await entries(api))[0]
    await database().execute_query(
        "insert into audit (id, created_at, action, outcome, fields_given, request_id) "
        "select gen_random_uuid(), now() - make_interval(secs => n), 'x', 'success', '[]', 'r' from generate_series(1, 10050) n"
    )
    first = (await api.owner.get("/audit?limit=100")).json()
    second = (await api.owner.get(f"/audit?limit=100&cursor={first['pagination']['nextCursor']}")).json()
    assert first["data"][0]["id"] == entry["id"]
    assert {each["id"] for each in first["data"]}.isdisjoint(each["id"] for each in second["data"])
    assert (first["pagination"]["total"], first["pagination"]["totalCapped"]) == (10_000, True)
    body = await api.owner.graphql('{ audit(first: 1, resourceType: "user") { nodes { user { username } fields { name } } totalCount } }')
    assert body["data"]["audit"]["nodes"][0]["user"]["username"] == "owner"


@BOTH
async def test_a_filter_with_text_that_cannot_be_stored_is_refused(api: Api, over: Transport) -> None:
    assert (await ask(over, api.owner, "audit.list", action="a\0b")).code == "VALIDATION_ERROR"


async def test_a_password_that_looks_like_an_id_is_not_kept(api: Api) -> None:
    password = "123e4567-e89b-42d3-a456-426614174000"
    await api.anonymous.post("/auth/register", {"username": "ghost", "email": "ghost@example.com", "password": password})
    await api.anonymous.post("/auth/login", {"username": "ghost", "password": password})
    assert password not in json.dumps(await database().execute_query_dict("select * from audit"), default=str)


async def test_nobody_acts_under_the_name_of_whom_they_register(api: Api) -> None:
    application = await api.application()
    account = f'{{username: "ghost", email: "ghost@example.com", password: "{PASSWORD}"}}'
    query = (
        f"mutation ($id: ID!) {{ register(input: {account}) {{ email }} scaleApplication(id: $id, input: {{replicas: 2}}) {{ status }} }}"
    )
    body = await api.owner.graphql(query, id=application["id"])
    assert body["data"]["register"] == {"email": "ghost@example.com"}
    assert {entry["username"] for entry in (await entries(api))[:2]} == {"owner"}
    login = f'login(input: {{username: "ghost", password: "{PASSWORD}"}}) {{ user {{ email }} }}'
    wanted = f'mutation {{ {login} createTeam(input: {{name: "Mine"}}) {{ id }} }}'
    body = await api.anonymous.graphql(wanted)
    assert body["errors"][0]["extensions"]["code"] == "UNAUTHORIZED", "a login opens a session, and nothing else"
