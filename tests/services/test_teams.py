"""Teams and members, the same over REST and GraphQL."""

from typing import Any

import pytest

import models
from tests.services.asking import Transport, ask
from tests.services.conftest import Api, Person

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
NOBODY = "01900000-0000-7000-8000-000000000000"


async def team(api: Api, name: str = "Crew", **members: str) -> tuple[dict[str, Any], dict[str, Person]]:
    """A team, and its members by the names they are called here."""
    made = await api.owner.made("/teams", {"name": name, "description": "Who sails"})
    people = {called: await api.person() for called in members}
    for called, role in members.items():
        await api.owner.made(f"/teams/{made['id']}/members", {"userId": people[called].id, "role": role})
    return made, people


@BOTH
async def test_a_team_is_created_with_no_members(api: Api, over: Transport) -> None:
    outcome = await ask(over, api.owner, "teams.create", input={"name": "Deck Crew", "description": "Who sails"})
    counts = {name: outcome.data[name] for name in ("name", "description", "memberCount", "projectCount")}
    assert counts == {"name": "Deck Crew", "description": "Who sails", "memberCount": 0, "projectCount": 0}


@BOTH
async def test_a_team_counts_its_members_and_projects(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="admin", bob="viewer")
    await api.project(teamId=made["id"])
    for person in (api.owner, people["bob"]):
        (found,) = (await ask(over, person, "teams.list")).data
        assert (found["memberCount"], found["projectCount"]) == (2, 1)


@BOTH
async def test_one_lists_ones_own_teams_only(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="viewer")
    await team(api, "Others")
    assert [each["id"] for each in (await ask(over, people["ann"], "teams.list")).data] == [made["id"]]
    assert [each["name"] for each in (await ask(over, api.owner, "teams.list", sort="name")).data] == ["Crew", "Others"]
    assert [each["name"] for each in (await ask(over, api.owner, "teams.list", search="oth")).data] == ["Others"]


@BOTH
@pytest.mark.parametrize("name", ["", " Crew", "Crew ", "a\nb", "x" * 51])
async def test_a_bad_name_is_refused(api: Api, over: Transport, name: str) -> None:
    assert (await ask(over, api.owner, "teams.create", input={"name": name})).code == "VALIDATION_ERROR"


@BOTH
async def test_a_name_is_taken_once(api: Api, over: Transport) -> None:
    first, _ = await team(api)
    second, _ = await team(api, "Second")
    outcome = await ask(over, api.owner, "teams.create", input={"name": first["name"]})
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})
    outcome = await ask(over, api.owner, "teams.update", second["id"], {"name": first["name"]})
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})


@BOTH
async def test_a_team_admin_changes_what_is_given_and_nothing_else(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="admin")
    changed = (await ask(over, people["ann"], "teams.update", made["id"], {"name": "Shore Crew"})).data
    assert (changed["name"], changed["description"]) == ("Shore Crew", "Who sails")
    assert (await ask(over, people["ann"], "teams.update", made["id"], {"description": None})).data["description"] == ""


@BOTH
async def test_a_team_with_projects_is_not_deleted(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="admin")
    project = await api.project(teamId=made["id"])
    outcome = await ask(over, people["ann"], "teams.delete", made["id"])
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NOT_EMPTY"})
    assert (await api.owner.delete(f"/projects/{project['id']}")).status_code == 204
    assert (await ask(over, people["ann"], "teams.delete", made["id"])).code is None
    assert (await ask(over, api.owner, "teams.get", made["id"])).code == "RESOURCE_NOT_FOUND"
    assert (await people["ann"].get("/users/me")).json()["teams"] == []


@BOTH
async def test_members_are_added_listed_changed_and_removed(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="admin")
    bob = await api.person()
    added = (await ask(over, people["ann"], "members.add", made["id"], {"userId": bob.id, "role": "viewer"})).data
    assert (added["teamId"], added["userId"], added["role"]) == (made["id"], bob.id, "viewer")
    listed = (await ask(over, bob, "teams.members", made["id"], order="asc")).data
    assert [(each["user"]["username"], each["role"]) for each in listed] == [(people["ann"].username, "admin"), (bob.username, "viewer")]
    viewers = (await ask(over, bob, "teams.members", made["id"], role="viewer")).data
    assert [each["userId"] for each in viewers] == [bob.id]
    changed = (await ask(over, people["ann"], "members.update", (made["id"], bob.id), {"role": "developer"})).data
    assert (changed["id"], changed["role"]) == (added["id"], "developer")
    assert (await ask(over, people["ann"], "members.remove", (made["id"], bob.id))).code is None
    assert (await ask(over, bob, "teams.members", made["id"])).code == "RESOURCE_NOT_FOUND"


@BOTH
async def test_a_member_is_added_once(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="admin")
    outcome = await ask(over, api.owner, "members.add", made["id"], {"userId": people["ann"].id, "role": "viewer"})
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "ALREADY_MEMBER"})


@BOTH
@pytest.mark.parametrize("id", [NOBODY, "nonsense", ""])
async def test_somebody_who_does_not_exist_cannot_be_added(api: Api, over: Transport, id: str) -> None:
    made, _ = await team(api)
    outcome = await ask(over, api.owner, "members.add", made["id"], {"userId": id, "role": "viewer"})
    assert (outcome.code, outcome.details) == ("UNPROCESSABLE_ENTITY", {"field": "userId"})


@BOTH
async def test_somebody_who_is_disabled_cannot_be_added(api: Api, over: Transport) -> None:
    made, _ = await team(api)
    bob = await api.person()
    await ask(over, api.owner, "users.update", bob.id, {"disabled": True})
    assert (await ask(over, api.owner, "members.add", made["id"], {"userId": bob.id, "role": "viewer"})).code == "UNPROCESSABLE_ENTITY"


@BOTH
async def test_a_member_belongs_to_the_team_of_the_path(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="admin")
    other, others = await team(api, "Others", bob="viewer")
    for ids in ((made["id"], others["bob"].id), (made["id"], NOBODY), (made["id"], "x"), (made["id"], other["id"])):
        outcome = await ask(over, people["ann"], "members.remove", ids)
        assert (outcome.code, outcome.details) == ("RESOURCE_NOT_FOUND", {"resourceType": "member", "resourceId": ids[1]})
    assert (await ask(over, people["ann"], "members.remove", (other["id"], others["bob"].id))).code == "RESOURCE_NOT_FOUND"
    assert await models.Membership.all().count() == 2


@BOTH
async def test_a_role_counts_from_the_next_request_on(api: Api, over: Transport) -> None:
    made, people = await team(api, ann="viewer")
    assert (await ask(over, people["ann"], "projects.create", input={"name": "Boat", "teamId": made["id"]})).code == "FORBIDDEN"
    await ask(over, api.owner, "members.update", (made["id"], people["ann"].id), {"role": "developer"})
    assert (await ask(over, people["ann"], "projects.create", input={"name": "Boat", "teamId": made["id"]})).code is None


async def test_the_links_of_a_list_lead_to_lists_that_page(api: Api) -> None:
    made, _ = await team(api, **{f"p{n}": "viewer" for n in range(3)})
    links = (await api.owner.get(f"/teams/{made['id']}")).json()["_links"]
    assert links == {"self": f"/api/teams/{made['id']}", "members": f"/api/teams/{made['id']}/members"}
    first = (await api.owner.get(f"/teams/{made['id']}/members?limit=2")).json()
    rest = (await api.owner.get(f"/teams/{made['id']}/members?limit=2&cursor={first['pagination']['nextCursor']}")).json()
    back = (await api.owner.get(f"/teams/{made['id']}/members?limit=2&cursor={rest['pagination']['prevCursor']}")).json()
    assert (len(first["data"]), len(rest["data"]), first["pagination"]["total"]) == (2, 1, 3)
    assert back["data"] == first["data"]
    assert first["data"][0]["_links"] == {"team": f"/api/teams/{made['id']}"}
