"""`node(id)`: whatever has this id, as far as the caller may see it (DECISIONS 2)."""

import models
from tests.services.conftest import Api, Person

QUERY = "query($id: ID!) {node(id: $id) {__typename id ... on Project {name} ... on User {username email}}}"


async def node(person: Person, id: str) -> object:
    return (await person.graphql(QUERY, id=id))["data"]["node"]


async def test_a_node_is_found_by_its_id_alone(api: Api) -> None:
    project = await api.project(name="Alpha")
    application = await api.application(project)
    assert await node(api.owner, project["id"]) == {"__typename": "Project", "id": project["id"], "name": "Alpha"}
    assert await node(api.owner, application["id"]) == {"__typename": "Application", "id": application["id"]}


async def test_what_is_unknown_malformed_deleted_or_unseen_is_null(api: Api) -> None:
    project, stranger = await api.project(), await api.person()
    assert await node(stranger, project["id"]) is None
    assert await node(api.owner, "01900000-0000-7000-8000-000000000000") is None
    assert await node(api.owner, "nonsense") is None
    await api.owner.delete(f"/projects/{project['id']}")
    assert await node(api.owner, project["id"]) is None


async def test_people_see_themselves_and_the_members_of_their_teams(api: Api) -> None:
    one, two, far = await api.person(), await api.person(), await api.person()
    team = await models.Team.create(name="Ours")
    for person in (one, two):
        await models.Membership.create(team_id=team.id, user_id=person.id, role=models.TeamRole.viewer)
    mine = {"__typename": "User", "id": one.id, "username": one.username, "email": f"{one.username}@example.com"}
    assert await node(one, one.id) == mine
    assert await node(two, one.id) == {**mine, "email": None}
    assert await node(far, one.id) is None


async def test_nobody_reads_a_node_without_logging_in(api: Api) -> None:
    body = await api.anonymous.graphql(QUERY, id=api.owner.id)
    assert body["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
