"""Who sees and may do what beyond the matrix (DECISIONS 5 and 15), the same over REST and GraphQL."""

from dataclasses import dataclass
from typing import Any

import pytest

import models
from tests.services.asking import Transport, ask
from tests.services.conftest import Api, Person

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


@dataclass
class Cast:
    """The actors of DECISIONS 15 around one project of a team, with an application in it."""

    project: dict[str, Any]
    application: dict[str, Any]
    actors: dict[str, Person]


@pytest.fixture
async def cast(api: Api) -> Cast:
    team = await models.Team.create(name="Crew")
    actors = {"anonymous": api.anonymous, "global owner": api.owner}
    for role in models.TeamRole:
        actors[f"team {role}"] = person = await api.person()
        await models.Membership.create(team_id=team.id, user_id=person.id, role=role)
    for name in ("stranger", "project owner", "global admin"):
        actors[name] = await api.person()
    await models.User.filter(id=actors["global admin"].id).update(role=models.GlobalRole.admin)
    project = await api.project(teamId=str(team.id))
    await models.Project.filter(id=project["id"]).update(owner_id=actors["project owner"].id)
    return Cast(project, await api.application(project), actors)


READS = {"team viewer", "team developer", "team admin", "project owner", "global admin", "global owner"}


@BOTH
async def test_each_actor_lists_only_what_they_may_see(cast: Cast, over: Transport) -> None:
    for actor, person in cast.actors.items():
        outcome = await ask(over, person, "applications.list")
        if actor == "anonymous":
            assert outcome.code == "UNAUTHORIZED"
        else:
            assert [each["id"] for each in outcome.data] == ([cast.application["id"]] if actor in READS else []), actor


@BOTH
async def test_a_viewer_may_not_deploy(cast: Cast, over: Transport) -> None:
    outcome = await ask(over, cast.actors["team viewer"], "applications.deploy", cast.application["id"], {})
    assert outcome.code == "FORBIDDEN"


@BOTH
async def test_an_unseen_and_a_missing_and_a_malformed_id_get_the_same_answer(cast: Cast, over: Transport) -> None:
    stranger = cast.actors["stranger"]
    for id in (cast.application["id"], "01900000-0000-7000-8000-000000000000", "nonsense", "x" * 10_000):
        outcome = await ask(over, stranger, "applications.get", id)
        assert outcome.code == "RESOURCE_NOT_FOUND"
        assert outcome.details == {"resourceType": "application", "resourceId": id[:64]}


@BOTH
async def test_only_an_operator_creates_a_project_without_a_team(cast: Cast, over: Transport) -> None:
    for actor, code in {"team admin": "FORBIDDEN", "stranger": "FORBIDDEN", "global admin": None}.items():
        outcome = await ask(over, cast.actors[actor], "projects.create", input={"name": "Loose"})
        assert outcome.code == code


@BOTH
async def test_a_team_that_is_not_seen_is_422(cast: Cast, over: Transport) -> None:
    team = cast.project["teamId"]
    outcome = await ask(over, cast.actors["stranger"], "projects.create", input={"name": "Theirs", "teamId": team})
    assert (outcome.code, outcome.details) == ("UNPROCESSABLE_ENTITY", {"field": "teamId"})
    outcome = await ask(over, cast.actors["team viewer"], "projects.create", input={"name": "Theirs", "teamId": team})
    assert outcome.code == "FORBIDDEN"
    outcome = await ask(over, cast.actors["team developer"], "projects.create", input={"name": "Theirs", "teamId": team})
    assert outcome.code is None


@BOTH
async def test_an_application_needs_a_developer_of_its_project(cast: Cast, over: Transport) -> None:
    for actor, code in {"stranger": "UNPROCESSABLE_ENTITY", "team viewer": "FORBIDDEN", "team developer": None}.items():
        input = {"name": "another", "projectId": cast.project["id"], "image": "busybox:1"}
        outcome = await ask(over, cast.actors[actor], "applications.create", input=input)
        assert outcome.code == code


async def test_of_others_one_sees_the_name_and_the_teams_in_common(cast: Cast) -> None:
    owner, secret = cast.actors["project owner"], await models.Team.create(name="Secret")
    for team in (secret.id, cast.project["teamId"]):
        await models.Membership.create(team_id=team, user_id=owner.id, role=models.TeamRole.admin)
    query = "query ($id: ID!) { project(id: $id) { owner { username email teams { name } } } }"

    async def shown(actor: str) -> Any:
        return (await cast.actors[actor].graphql(query, id=cast.project["id"]))["data"]["project"]["owner"]

    assert await shown("team viewer") == {"username": owner.username, "email": None, "teams": [{"name": "Crew"}]}
    own = await shown("project owner")
    assert own["email"] == f"{owner.username}@example.com"
    assert {team["name"] for team in own["teams"]} == {"Crew", "Secret"}
    assert (await shown("global admin"))["email"] == own["email"]


async def test_a_removed_member_sees_nothing_at_once(cast: Cast) -> None:
    viewer = cast.actors["team viewer"]
    assert (await viewer.get(f"/projects/{cast.project['id']}")).status_code == 200
    await models.Membership.filter(user_id=viewer.id).delete()
    assert (await viewer.get(f"/projects/{cast.project['id']}")).status_code == 404
