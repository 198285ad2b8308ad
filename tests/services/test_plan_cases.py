"""What plans must do that random documents seldom ask for; without each of these some mutant of the compiler would live."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

import models
from gateway.graphql import Asking, Runner
from schema.access import Role
from schema.context import Caller, Context
from schema.fields import Node, computed, entity
from schema.page import sorting
from schema.resource import Resource
from schema.surface import bind
from tests.services.conftest import Api, Person

NAMES = ("one", "six", "ten", "two")
START = datetime(2024, 1, 1, tzinfo=UTC)


async def deployed(application: dict[str, Any], **columns: Any) -> models.Deployment:
    """A deployment that is over."""
    made = {"project_id": application["projectId"], "kind": "image", "status": "success", "snapshot": {}} | columns
    return await models.Deployment.create(application_id=application["id"], **made)


async def data(person: Person, query: str, **variables: Any) -> Any:
    body = await person.graphql(query, **variables)
    assert "errors" not in body, body["errors"]
    return body["data"]


async def test_a_nested_list_shows_and_counts_nothing_of_a_project_that_is_not_seen(api: Api) -> None:
    person = await api.person()
    mine, theirs = await api.project(), await api.project()
    await models.Project.filter(id=mine["id"]).update(owner_id=person.id)
    application = await api.application(mine)
    seen = await deployed(application)
    await deployed(application, project_id=theirs["id"])
    query = "query($id: ID!) {application(id: $id) {deployments {nodes {id}} of: deployments {totalCount}}}"
    found = (await data(person, query, id=application["id"]))["application"]
    assert found == {"deployments": {"nodes": [{"id": str(seen.id)}]}, "of": {"totalCount": 1}}


async def test_the_last_deployment_is_the_last_one_that_is_seen(api: Api) -> None:
    person = await api.person()
    mine, theirs = await api.project(), await api.project()
    await models.Project.filter(id=mine["id"]).update(owner_id=person.id)
    seen, other = await api.application(mine), await api.application(mine)
    shown = await deployed(seen)
    for application in (seen, other):
        await deployed(application, project_id=theirs["id"])
    query = "query($id: ID!) {application(id: $id) {lastDeployment {id}}}"
    assert (await data(person, query, id=seen["id"]))["application"] == {"lastDeployment": {"id": str(shown.id)}}
    assert (await data(person, query, id=other["id"]))["application"] == {"lastDeployment": None}


async def test_what_hangs_on_a_relation_that_leads_nowhere_is_not_mixed_up(api: Api) -> None:
    project = await api.project()
    for n, name in enumerate(NAMES):
        application = await api.application(project, name=name)
        if n % 2:
            made = await deployed(application, branch=name)
            await models.Stage.create(deployment_id=made.id, position=0, name=models.StageName.building, started_at=START)
            await models.Stage.filter(deployment_id=made.id).update(finished_at=START + timedelta(seconds=n))
    query = """{applications(sort: name) {nodes {
        name lastDeployment {branch stages {duration} application {deployments {nodes {branch}}}}
    }}}"""
    nodes = (await data(api.owner, query))["applications"]["nodes"]
    last = [each["lastDeployment"] for each in nodes]
    expected = [
        None if n % 2 == 0 else {"branch": b, "stages": [{"duration": n}], "application": {"deployments": {"nodes": [{"branch": b}]}}}
        for n, b in enumerate(NAMES)
    ]
    assert last == expected


async def test_a_fragment_applies_to_its_own_type_only(api: Api) -> None:
    query = "query($id: ID!) {node(id: $id) {id ...P ...A}} fragment P on Project {name} fragment A on Application {id called: name}"
    project = await api.project(name="Alpha")
    assert (await data(api.owner, query, id=project["id"]))["node"] == {"id": project["id"], "name": "Alpha"}


async def test_a_variable_that_is_left_out_has_its_default(api: Api) -> None:
    for name in ("one", "two"):
        await api.application(name=name)
    query = """query($n: Int = 1, $text: String = "tw", $show: Boolean = false) {
        applications(first: $n, search: $text) {nodes {name id @include(if: $show)}}
    }"""
    assert (await data(api.owner, query))["applications"]["nodes"] == [{"name": "two"}]


async def test_a_literal_null_asks_for_nothing(api: Api) -> None:
    for name in ("one", "two"):
        await api.application(name=name)
    nothing = "status: null, statusIn: null, search: null, projectId: null, sort: null, after: null, first: null"
    query = f"{{applications({nothing}) {{totalCount nodes {{name}}}}}}"
    assert (await data(api.owner, query))["applications"] == {"totalCount": 2, "nodes": [{"name": "two"}, {"name": "one"}]}


async def test_a_list_may_hold_variables(api: Api) -> None:
    for status in ("running", "stopped", "error"):
        made = await api.application()
        await models.Application.filter(id=made["id"]).update(status=status)
    query = "query($one: ApplicationStatus!) {applications(statusIn: [$one, error]) {nodes {status}}}"
    found = (await data(api.owner, query, one="running"))["applications"]["nodes"]
    assert sorted(each["status"] for each in found) == ["error", "running"]


async def _lengths(context: Context, rows: list[tuple[str]]) -> list[int]:
    return [len(name) for (name,) in rows]


@entity(models.Project, scope="id")
class Shelf(Node):
    """A project with something measured."""

    name: str
    size: int | None = computed(_lengths, "name", batch=True, needs=Role.admin)


shelves = Resource("shelf", Shelf, plural="shelves")
shelves.list(needs=Role.viewer, sort=sorting("shelf", "created_at", "name"), view="id name")


async def test_a_batch_keeps_its_rows_behind_one_that_may_not_be_read(api: Api) -> None:
    person = await api.person()
    team = await models.Team.create(name="Crew")
    await models.Membership.create(team_id=team.id, user_id=person.id, role=models.TeamRole.viewer)
    await models.Project.create(name="Theirs", owner_id=api.owner.id, team_id=team.id)
    await models.Project.create(name="Zoo", owner_id=person.id)
    context, asking = Context(Caller(UUID(person.id), models.GlobalRole.member)), Asking("{shelves(sort: name) {nodes {name size}}}")
    runner = Runner(bind((shelves,), (Shelf,)))
    found = await runner.run(runner.prepared(asking, context), asking, context)
    assert found["data"]["shelves"]["nodes"] == [{"name": "Theirs", "size": None}, {"name": "Zoo", "size": 3}]


@entity(models.Project, scope="id")
class Ledger(Node):
    """Something that operators read."""

    name: str


ledgers = Resource("ledger", Ledger)
ledgers.list(needs=Role.operator, view="id")


async def test_a_list_for_operators_is_forbidden_to_others(api: Api) -> None:
    person, runner, codes = await api.person(), Runner(bind((ledgers,), (Ledger,))), []
    for caller in (Caller(UUID(api.owner.id), models.GlobalRole.owner), Caller(UUID(person.id), models.GlobalRole.member)):
        context, asking = Context(caller), Asking("{ledgers {totalCount}}")
        found = await runner.run(runner.prepared(asking, context), asking, context)
        codes.append([each["extensions"]["code"] for each in found.get("errors", [])])
    assert codes == [[], ["FORBIDDEN"]]


@pytest.mark.parametrize("way", ["first", "last"])
async def test_somebody_who_sees_many_projects_gets_the_same_pages(api: Api, way: str) -> None:
    person = await api.person()
    for n in range(9):
        project = await api.project()
        await models.Project.filter(id=project["id"]).update(owner_id=person.id)
        for k in range(2):
            made = await api.application(project)
            await models.Application.filter(id=made["id"]).update(created_at=START + timedelta(seconds=(n * 5 + k * 11) % 9))
    query = "query($n: Int, $at: String) {applications(first: $n, after: $at) {nodes {id} pageInfo {cursor: endCursor more: hasNextPage}}}"
    if way == "last":
        query = query.replace("first:", "last:").replace("after:", "before:").replace("endCursor", "startCursor")
        query = query.replace("hasNextPage", "hasPreviousPage")
    rows = await models.Application.all().order_by("-created_at", "-id")
    for size in (1, 2, 3):
        walked, place, more = list[str](), None, True
        while more:
            page = (await data(person, query, n=size, at=place))["applications"]
            ids = [each["id"] for each in page["nodes"]]
            walked = walked + ids if way == "first" else ids + walked
            place, more = page["pageInfo"]["cursor"], page["pageInfo"]["more"]
        assert walked == [str(row.id) for row in rows]
