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


MANY = "query($ids: [ID!]!) {nodes(ids: $ids) {__typename id ... on Project {name} ... on Application {project {name}}}}"


async def test_many_nodes_come_in_the_order_of_their_ids_and_null_for_what_is_not_there(api: Api) -> None:
    project = await api.project(name="Alpha")
    application, stranger = await api.application(project), await api.person()
    ids = [application["id"], "nonsense", project["id"], "01900000-0000-7000-8000-000000000000", application["id"], project["id"].upper()]
    shown = {"__typename": "Project", "id": project["id"], "name": "Alpha"}
    child = {"__typename": "Application", "id": application["id"], "project": {"name": "Alpha"}}
    assert (await api.owner.graphql(MANY, ids=ids))["data"]["nodes"] == [child, None, shown, None, child, shown]
    assert (await api.owner.graphql(MANY, ids=[]))["data"]["nodes"] == []
    own = {"__typename": "User", "id": stranger.id}
    assert (await stranger.graphql(MANY, ids=[project["id"], stranger.id, application["id"]]))["data"]["nodes"] == [None, own, None]


async def test_a_hundred_nodes_are_the_most(api: Api) -> None:
    assert len((await api.owner.graphql(MANY, ids=[api.owner.id] * 100))["data"]["nodes"]) == 100
    (error,) = (await api.owner.graphql(MANY, ids=[api.owner.id] * 101))["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR"
    assert error["extensions"]["details"]["errors"][0]["field"] == "ids"


async def test_nobody_reads_nodes_without_logging_in(api: Api) -> None:
    body = await api.anonymous.graphql(MANY, ids=[api.owner.id])
    assert ("data" in body, body["errors"][0]["extensions"]["code"]) == (False, "UNAUTHORIZED")
