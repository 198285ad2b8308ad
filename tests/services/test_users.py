"""Accounts, as owners and admins see and change them; the same over REST and GraphQL."""

import asyncio

import pytest

from tests.services.asking import Transport, ask
from tests.services.conftest import PASSWORD, Api, Person

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


async def admin(api: Api) -> Person:
    person = await api.person()
    assert (await api.owner.patch(f"/users/{person.id}", {"role": "admin"})).status_code == 200
    return person


@BOTH
async def test_an_owner_and_an_admin_list_everybody(api: Api, over: Transport) -> None:
    people = [api.owner, await admin(api), await api.person()]
    for person in people[:2]:
        found = (await ask(over, person, "users.list", sort="username")).data
        assert {each["username"] for each in found} == {each.username for each in people}
        assert all(each["email"] and each["tier"] == "authenticated" and each["disabled"] is False for each in found)
    assert [each["username"] for each in (await ask(over, api.owner, "users.list", role="admin")).data] == [people[1].username]


@BOTH
async def test_a_member_lists_nobody_and_changes_nobody(api: Api, over: Transport) -> None:
    person, other = await api.person(), await api.person()
    assert (await ask(over, person, "users.list")).code == "FORBIDDEN"
    assert (await ask(over, person, "users.get", other.id)).code == "FORBIDDEN"
    assert (await ask(over, person, "users.update", person.id, {"role": "owner"})).code == "FORBIDDEN"


@BOTH
async def test_an_admin_does_not_make_anybody_an_owner(api: Api, over: Transport) -> None:
    person = await admin(api)
    for id in (person.id, api.owner.id):
        assert (await ask(over, person, "users.update", id, {"role": "owner"})).code == "FORBIDDEN"


@BOTH
async def test_a_role_and_a_tier_are_changed_at_once(api: Api, over: Transport) -> None:
    person = await api.person()
    changed = (await ask(over, api.owner, "users.update", person.id, {"role": "admin", "tier": "premium"})).data
    assert (changed["roles"], changed["tier"], changed["disabled"]) == (["admin"], "premium", False)
    assert (await ask(over, person, "users.list")).code is None
    await ask(over, api.owner, "users.update", person.id, {"role": "member"})
    assert (await ask(over, person, "users.list")).code == "FORBIDDEN"
    assert (await ask(over, person, "users.me")).data["tier"] == "premium"


@BOTH
async def test_a_disabled_account_is_locked_out_at_once_and_comes_back_when_enabled(api: Api, over: Transport) -> None:
    person = await api.person()
    assert (await ask(over, api.owner, "users.update", person.id, {"disabled": True})).data["disabled"] is True
    assert (await person.get("/users/me")).status_code == 401
    refused = await api.anonymous.post("/auth/login", {"username": person.username, "password": PASSWORD})
    wrong = await api.anonymous.post("/auth/login", {"username": "nobody", "password": PASSWORD})
    assert refused.status_code == wrong.status_code == 401
    assert refused.json()["error"]["message"] == wrong.json()["error"]["message"]
    await ask(over, api.owner, "users.update", person.id, {"disabled": False})
    assert (await api.anonymous.post("/auth/login", {"username": person.username, "password": PASSWORD})).status_code == 200


@BOTH
@pytest.mark.parametrize("change", [{"role": "member"}, {"disabled": True}])
async def test_the_last_owner_stays(api: Api, over: Transport, change: dict[str, object]) -> None:
    outcome = await ask(over, api.owner, "users.update", api.owner.id, change)
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "LAST_OWNER"})
    assert (await api.owner.get("/users/me")).json()["roles"] == ["owner"]


async def test_two_owners_who_step_back_at_once_leave_one(api: Api) -> None:
    second = await api.person()
    await api.owner.patch(f"/users/{second.id}", {"role": "owner"})
    answers = await asyncio.gather(*[each.patch(f"/users/{each.id}", {"role": "member"}) for each in (api.owner, second)])
    assert sorted(answer.status_code for answer in answers) == [200, 409]


@BOTH
@pytest.mark.parametrize("change", [{"role": "king"}, {"tier": "free"}, {"disabled": "yes"}, {"role": None}, {"username": "x"}])
async def test_a_change_that_makes_no_sense_is_refused(api: Api, over: Transport, change: dict[str, object]) -> None:
    assert (await ask(over, api.owner, "users.update", api.owner.id, change)).code == "VALIDATION_ERROR"


async def test_of_others_one_sees_neither_tier_nor_whether_they_may_log_in(api: Api) -> None:
    team = await api.owner.made("/teams", {"name": "Crew"})
    people = [await api.person() for _ in range(2)]
    for person in people:
        await api.owner.made(f"/teams/{team['id']}/members", {"userId": person.id, "role": "viewer"})
    query = "query ($id: ID!) { team(id: $id) { members(order: asc) { nodes { user { username email tier disabled } } } } }"
    members = (await people[0].graphql(query, id=team["id"]))["data"]["team"]["members"]["nodes"]
    own, other = (each["user"] for each in members)
    assert (own["tier"], own["disabled"]) == ("authenticated", False)
    assert other == {"username": people[1].username, "email": None, "tier": None, "disabled": None}
