"""What lists can do in both APIs: filters, totals, and the counters behind them (DECISIONS 7)."""

from datetime import UTC, datetime

import pytest

import models
from models.database import database, fetch
from tests.services.conftest import Api


async def names(api: Api, query: str) -> list[str]:
    answer = await api.owner.get(f"/applications?sort=name&{query}")
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["data"]]


async def test_a_list_is_filtered_by_any_of_several_values(api: Api) -> None:
    project = await api.project()
    for name, status in (("one", "running"), ("two", "stopped"), ("six", "error")):
        made = await api.application(project, name=name)
        await models.Application.filter(id=made["id"]).update(status=status)
    assert await names(api, "statusIn=running&statusIn=error") == ["one", "six"]
    found = await api.owner.graphql("{applications(statusIn: [stopped], sort: name) {nodes {name} totalCount totalCapped}}")
    assert found["data"]["applications"] == {"nodes": [{"name": "two"}], "totalCount": 1, "totalCapped": False}
    assert (await api.owner.graphql("{applications(statusIn: []) {nodes {name}}}"))["data"]["applications"]["nodes"] == []


async def test_a_list_is_filtered_by_time_bounds_included(api: Api) -> None:
    project = await api.project()
    for name, day in (("one", 1), ("two", 2), ("six", 3)):
        made = await api.application(project, name=name)
        await models.Application.filter(id=made["id"]).update(created_at=datetime(2024, 1, day, tzinfo=UTC))
    assert await names(api, "createdFrom=2024-01-02T00:00:00Z") == ["six", "two"]
    assert await names(api, "createdFrom=2024-01-02T01:00:00%2B01:00&createdTo=2024-01-02T00:00:00Z") == ["two"]


@pytest.mark.parametrize("time", ["yesterday", "2024-01-02T00:00:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_that_is_none_is_refused_by_both(api: Api, time: str) -> None:
    answer = await api.owner.get("/applications", params={"createdFrom": time})
    assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["field"]) == (400, "createdFrom")
    body = await api.owner.graphql("query($at: DateTime) {applications(createdFrom: $at) {totalCount}}", at=time)
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"


async def test_a_relation_takes_filters_and_search(api: Api) -> None:
    project = await api.project()
    made = await api.application(project, name="alpha")
    await api.application(project, name="beta")
    await api.owner.made(f"/applications/{made['id']}/deploy", {})
    body = await api.owner.graphql(
        """query($id: ID!) {project(id: $id) {
            applications(search: "ALP") {nodes {name deploymentCount deployments(status: pending) {totalCount}} totalCount}
        }}""",
        id=project["id"],
    )
    found = body["data"]["project"]["applications"]
    assert found == {"nodes": [{"name": "alpha", "deploymentCount": 1, "deployments": {"totalCount": 1}}], "totalCount": 1}


async def test_statistics_name_the_first_and_the_last_deployment(api: Api) -> None:
    project = await api.project()
    query = "query($id: ID!) {project(id: $id) {statistics {deploymentCount firstDeploymentAt lastDeploymentAt}}}"
    body = await api.owner.graphql(query, id=project["id"])
    assert body["data"]["project"]["statistics"] == {"deploymentCount": 0, "firstDeploymentAt": None, "lastDeploymentAt": None}
    for name in ("one", "two"):
        await api.owner.made(f"/applications/{(await api.application(project, name=name))['id']}/deploy", {})
    found = (await api.owner.graphql(query, id=project["id"]))["data"]["project"]["statistics"]
    assert found["deploymentCount"] == 2
    assert found["firstDeploymentAt"] <= found["lastDeploymentAt"]


async def tally(project: str) -> tuple[int, int]:
    rows = await fetch("select application, deployment from tally where project_id = $1", project)
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


async def test_the_counters_follow_every_writer(api: Api) -> None:
    project, other = (await api.project())["id"], (await api.project())["id"]
    made = await api.owner.made("/applications", {"name": "one", "projectId": project, "image": "busybox:1"})
    await api.owner.made("/applications", {"name": "two", "projectId": project, "image": "busybox:1"})
    await api.owner.made(f"/applications/{made['id']}/deploy", {})
    assert await tally(project) == (2, 1)
    await models.Application.filter(id=made["id"]).update(replicas=3)
    assert await tally(project) == (2, 1)
    await models.Application.filter(id=made["id"]).update(project_id=other)
    assert (await tally(project), await tally(other)) == ((1, 1), (1, 0))
    assert (await api.owner.delete(f"/applications/{made['id']}")).status_code == 204
    assert (await tally(other))[0] == 0
    await models.Application.filter(project_id=project).delete()
    assert (await tally(project))[0] == 0


async def test_a_counter_of_what_is_rolled_back_is_rolled_back(api: Api) -> None:
    project = await api.project()
    made = await api.application(project)
    await database().execute_script(f"begin; update application set deleted_at = now() where id = '{made['id']}'; rollback")
    assert await tally(project["id"]) == (1, 0)


@pytest.mark.parametrize(("text", "grams"), [("Alpha", ["alp", "lph", "pha"]), ("ab", []), ("", []), ("aaaa", ["aaa"])])
async def test_a_name_is_indexed_by_its_trigrams(api: Api, text: str, grams: list[str]) -> None:
    assert sorted((await fetch("select trigrams($1)", text))[0][0]) == grams
