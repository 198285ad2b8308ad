"""A field that takes a higher role than reading is compiled with its check, never skipped."""

from typing import Any

import pytest

import models
from gateway.graphql import Asking, Runner
from schema.access import Role
from schema.context import Caller, Context
from schema.fields import Node, Realm, column, computed, entity
from schema.page import sorting
from schema.resource import Resource
from schema.surface import bind
from tests.oracle import Oracle
from tests.services.conftest import Api


async def _lengths(context: Context, rows: list[tuple[str]]) -> list[int]:
    return [len(name) for (name,) in rows]


@entity(models.Project, scope="id")
class Vault(Node):
    """A project with secrets."""

    name: str
    description: str | None = column(needs=Role.admin)
    shout: str | None = computed(str.upper, "name", needs=Role.developer)
    size: int | None = computed(_lengths, "name", batch=True, needs=Role.admin)


@entity(models.Team, scope="id", realm=Realm.team)
class Crew(Node):
    """A team with a secret."""

    name: str | None = column(needs=Role.admin)


vaults = Resource("vault", Vault)
vaults.list(needs=Role.viewer, sort=sorting("vault", "created_at", "name"), view="id name")
crews = Resource("crew", Crew)
crews.list(needs=Role.viewer, view="id")
SURFACE = bind((vaults, crews), (Vault, Crew))
QUERY = "{vaults(sort: name) {nodes {name description shout size}} crews {nodes {name}}}"


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        (models.TeamRole.viewer, (None, None, None)),
        (models.TeamRole.developer, (None, "THEIRS", None)),
        (models.TeamRole.admin, ("secret", "THEIRS", 6)),
    ],
)
async def test_each_row_is_asked_for_its_own_role(api: Api, role: models.TeamRole, seen: tuple[Any, ...]) -> None:
    person = await api.person()
    team = await models.Team.create(name="Crew")
    await models.Membership.create(team_id=team.id, user_id=person.id, role=role)
    await models.Project.create(name="Theirs", owner_id=api.owner.id, team_id=team.id, description="secret")
    await models.Project.create(name="Mine", owner_id=person.id, description="mine")
    caller = Caller(person.id, models.GlobalRole.member)
    context, asking, runner = Context(caller), Asking(QUERY), Runner(SURFACE)
    found = await runner.run(runner.prepared(asking, context), asking, context)
    mine = {"name": "Mine", "description": "mine", "shout": "MINE", "size": 4}
    theirs = dict(zip(("name", "description", "shout", "size"), ("Theirs", *seen), strict=True))
    assert found["data"]["vaults"]["nodes"] == [mine, theirs]
    assert found["data"]["crews"]["nodes"] == [{"name": "Crew" if role is models.TeamRole.admin else None}]
    hidden = [each for each in (*seen, found["data"]["crews"]["nodes"][0]["name"]) if each is None]
    assert [each["extensions"]["code"] for each in found.get("errors", [])] == ["FORBIDDEN"] * len(hidden)
    expected = await Oracle(bind((vaults, crews), (Vault, Crew))).execute(QUERY, None, Context(caller))
    assert expected.data == found["data"]


async def test_whoever_sees_everything_reads_everything(api: Api) -> None:
    await models.Project.create(name="Theirs", owner_id=api.owner.id, description="secret")
    context, asking, runner = Context(Caller(api.owner.id, models.GlobalRole.owner)), Asking(QUERY), Runner(SURFACE)
    found = await runner.run(runner.prepared(asking, context), asking, context)
    assert found["data"]["vaults"]["nodes"] == [{"name": "Theirs", "description": "secret", "shout": "THEIRS", "size": 6}]


async def test_a_function_that_fails_leaves_the_rest_standing(api: Api) -> None:
    def broken(name: str) -> str:
        raise RuntimeError(name)

    @entity(models.Project, scope="id")
    class Odd(Node):
        name: str
        wrong: str | None = computed(broken, "name")
        needed: str = computed(broken, "name")

    odds = Resource("odd", Odd)
    odds.list(needs=Role.viewer, view="id name")
    await models.Project.create(name="One", owner_id=api.owner.id)
    runner = Runner(bind((odds,), (Odd,)))
    context = Context(Caller(api.owner.id, models.GlobalRole.owner))
    for text, data, path in (
        ("{odds {nodes {name wrong}}}", {"odds": {"nodes": [{"name": "One", "wrong": None}]}}, ["odds", "nodes", 0, "wrong"]),
        ("{odds {nodes {name needed}}}", None, ["odds", "nodes", 0, "needed"]),
    ):
        asking = Asking(text)
        found = await runner.run(runner.prepared(asking, context), asking, context)
        assert (found["data"], found["errors"][0]["path"]) == (data, path)
        assert found["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
