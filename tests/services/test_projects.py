"""The chapter Projects."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

import models
from schema.context import Context
from tests.services.asking import Transport, ask
from tests.services.conftest import Api

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


async def test_a_project_answers_to_the_letter(api: Api) -> None:
    made = await api.owner.made("/projects", {"name": "Shop", "description": "All of it"})
    assert {"id", "name", "description", "ownerId", "teamId", "createdAt", "_links"} <= set(made)
    assert made["_links"] == {"self": f"/api/projects/{made['id']}"}
    await api.application(made)
    body = (await api.owner.get(f"/projects/{made['id']}")).json()
    assert body["statistics"] == {"applicationCount": 1, "databaseCount": 0, "deploymentCount": 0}
    assert body["ownerId"] == api.owner.id
    assert body["teamId"] is None


@BOTH
@pytest.mark.parametrize(
    ("name", "constraint"), [("ab", "length"), ("x" * 51, "length"), ("my app", "regex"), ("My-App", "regex"), ("Ünïcode", "regex")]
)
async def test_a_name_is_three_to_fifty_letters_and_digits(api: Api, over: Transport, name: str, constraint: str) -> None:
    outcome = await ask(over, api.owner, "projects.create", input={"name": name})
    assert (outcome.code, outcome.fields) == ("VALIDATION_ERROR", {"name": constraint})
    assert outcome.details["errors"][0]["received"] == name


@BOTH
async def test_a_name_is_unique_per_owner_and_free_again_after_deletion(api: Api, over: Transport) -> None:
    first = await ask(over, api.owner, "projects.create", input={"name": "Shop"})
    taken = await ask(over, api.owner, "projects.create", input={"name": "Shop"})
    assert (taken.code, taken.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})
    assert (await ask(over, api.owner, "projects.delete", first.data["id"])).code is None
    assert (await ask(over, api.owner, "projects.get", first.data["id"])).code == "RESOURCE_NOT_FOUND"
    assert (await ask(over, api.owner, "projects.delete", first.data["id"])).code == "RESOURCE_NOT_FOUND"
    assert (await ask(over, api.owner, "projects.create", input={"name": "Shop"})).code is None
    assert await models.Project.all().count() == 2


@BOTH
async def test_a_project_with_applications_is_not_deleted(api: Api, over: Transport) -> None:
    project = await api.project()
    await api.application(project)
    outcome = await ask(over, api.owner, "projects.delete", project["id"])
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NOT_EMPTY"})


@BOTH
async def test_a_patch_changes_what_it_names_and_null_clears(api: Api, over: Transport) -> None:
    project = await api.project(description="before")
    await ask(over, api.owner, "projects.update", project["id"], {"name": "Renamed"})
    body = (await api.owner.get(f"/projects/{project['id']}")).json()
    assert (body["name"], body["description"]) == ("Renamed", "before")
    await ask(over, api.owner, "projects.update", project["id"], {"description": None})
    assert (await api.owner.get(f"/projects/{project['id']}")).json()["description"] == ""
    outcome = await ask(over, api.owner, "projects.update", project["id"], {"name": None})
    assert outcome.code == "VALIDATION_ERROR"


async def test_pages_go_forward_and_back_without_loss(api: Api) -> None:
    names = [f"Project{letter}" for letter in "ABCDEFG"]
    for name in names:
        await api.project(name=name)
    seen, path, pages = [], "/projects?limit=3&sort=name", []
    while True:
        body = (await api.owner.get(path)).json()
        seen += [each["name"] for each in body["data"]]
        pages.append(body)
        assert body["pagination"]["total"] == 7
        if not body["pagination"]["hasMore"]:
            break
        path = f"/projects?limit=3&sort=name&cursor={body['pagination']['nextCursor']}"
    assert seen == names
    assert pages[-1]["pagination"]["nextCursor"] is None
    assert pages[0]["pagination"]["prevCursor"] is None
    back = (await api.owner.get(f"/projects?limit=3&sort=name&cursor={pages[2]['pagination']['prevCursor']}")).json()
    assert back["data"] == pages[1]["data"]
    assert back["pagination"]["hasMore"] is True


async def test_relay_pages_go_both_ways(api: Api) -> None:
    for letter in "ABCDE":
        await api.project(name=f"Project{letter}")
    query = """query ($first: Int, $after: String, $last: Int, $before: String) {
      projects(first: $first, after: $after, last: $last, before: $before, sort: name) {
        edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }"""
    first = (await api.owner.graphql(query, first=2))["data"]["projects"]
    assert [edge["node"]["name"] for edge in first["edges"]] == ["ProjectA", "ProjectB"]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"], first["totalCount"]) == (True, False, 5)
    after = (await api.owner.graphql(query, first=2, after=first["pageInfo"]["endCursor"]))["data"]["projects"]
    assert [edge["node"]["name"] for edge in after["edges"]] == ["ProjectC", "ProjectD"]
    last = (await api.owner.graphql(query, last=2))["data"]["projects"]
    assert [edge["node"]["name"] for edge in last["edges"]] == ["ProjectD", "ProjectE"]
    before = (await api.owner.graphql(query, last=2, before=last["pageInfo"]["startCursor"]))["data"]["projects"]
    assert [edge["node"]["name"] for edge in before["edges"]] == ["ProjectB", "ProjectC"]
    both = await api.owner.graphql(query, first=2, last=2)
    assert both["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["createdAt", "updatedAt", "name"])
async def test_a_list_is_sorted_as_asked(api: Api, sort: str, order: str) -> None:
    for name in ("Bravo", "Alpha", "Charlie"):
        await api.project(name=name)
    body = (await api.owner.get(f"/projects?sort={sort}&order={order}&limit=2")).json()
    more = (await api.owner.get(f"/projects?sort={sort}&order={order}&limit=2&cursor={body['pagination']['nextCursor']}")).json()
    found = [each[sort] for each in body["data"] + more["data"]]
    assert len(found) == 3
    assert found == sorted(found, reverse=order == "desc")


async def test_search_finds_a_part_of_the_name_and_no_wildcards(api: Api) -> None:
    for name in ("Alpha1", "Beta1"):
        await api.project(name=name)
    found = (await api.owner.get("/projects?search=LPH")).json()
    assert [each["name"] for each in found["data"]] == ["Alpha1"]
    assert found["pagination"]["total"] == 1
    for wildcard in ("%25", "_", "%5C"):
        assert (await api.owner.get(f"/projects?search={wildcard}")).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=abc", "limit"),
        ("limit=1&limit=2", "limit"),
        ("sort=ownerId", "sort"),
        ("order=sideways", "order"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("unknown=1", "unknown"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str, field: str) -> None:
    answer = await api.owner.get(f"/projects?{query}")
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]["errors"]] == [field]


async def test_a_project_deleted_meanwhile_is_not_brought_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await api.project()
    fetched = Context.fetch

    async def deleted_after(*arguments: Any) -> Any:
        row = await fetched(*arguments)
        await models.Project.filter(id=row.id).update(deleted_at=datetime.now(UTC))
        return row

    monkeypatch.setattr(Context, "fetch", deleted_after)
    assert (await api.owner.patch(f"/projects/{project['id']}", {"name": "Back"})).status_code == 404
    assert (await models.Project.get(id=project["id"])).deleted_at is not None


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("-created_at", "0001-01-01T00:00:00+14:00"),
        ("-created_at", "9999-12-31T23:59:59-14:00"),
        ("-created_at", "yesterday"),
        ("name", "a\x00b"),
        ("name", "\ud800"),
    ],
)
async def test_a_forged_cursor_is_refused(api: Api, sort: str, key: str) -> None:
    cursor = {"of": "project", "sort": sort, "key": key, "id": "01900000-0000-7000-8000-000000000000", "way": "f"}
    text = base64.urlsafe_b64encode(json.dumps(cursor, separators=(",", ":")).encode()).rstrip(b"=").decode()
    query = f"cursor={text}" + ("&sort=name" if sort == "name" else "")
    answer = await api.owner.get(f"/projects?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_a_cursor_of_another_list_or_sort_is_refused(api: Api) -> None:
    for letter in "ABC":
        await api.application(await api.project(name=f"Project{letter}"))
    cursor = (await api.owner.get("/projects?limit=1")).json()["pagination"]["nextCursor"]
    assert (await api.owner.get(f"/projects?limit=1&cursor={cursor}")).status_code == 200
    for path in (f"/applications?cursor={cursor}", f"/projects?sort=name&cursor={cursor}", f"/projects?cursor={cursor}x"):
        assert (await api.owner.get(path)).status_code == 400, path


@BOTH
async def test_moving_a_project_takes_an_admin_on_both_sides(api: Api, over: Transport) -> None:
    here, there = await models.Team.create(name="Here"), await models.Team.create(name="There")
    person = await api.person()
    await models.Membership.create(team_id=here.id, user_id=person.id, role=models.TeamRole.admin)
    membership = await models.Membership.create(team_id=there.id, user_id=person.id, role=models.TeamRole.developer)
    project = await api.project(teamId=str(here.id))
    move = {"teamId": str(there.id)}
    assert (await ask(over, person, "projects.update", project["id"], move)).code == "FORBIDDEN"
    membership.role = models.TeamRole.admin
    await membership.save()
    outcome = await ask(over, person, "projects.update", project["id"], move)
    assert outcome.data["teamId"] == str(there.id)
