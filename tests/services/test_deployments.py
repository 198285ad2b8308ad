"""The chapter Deployments, and following one (DECISIONS 18 to 22)."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

import models
from models import DeploymentKind, DeploymentStatus, StageName
from models import events as journal
from models.feed import Feeds, Follower
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from workers import wishes
from workers.states import TASK_GRAPHS, Change, Event
from workers.transitions import apply

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
GIT = {"repoUrl": "https://example.com/a.git"}


async def played(id: str, end: Event = Event.succeed) -> models.Deployment:
    """A deployment taken through its task graph by hand."""
    row = await models.Deployment.get(id=id)
    graph = TASK_GRAPHS[row.kind]
    assert await apply(Change(Event.start, row.id, worker="w", stage=graph[0]))
    for following in graph[1:]:
        assert await apply(Change(Event.hand_over, row.id, 1, "w", following))
        assert await apply(Change(Event.claim, row.id, 1, "w", following))
    store = {"image": f"dokploy/x:{id}"} if end is Event.succeed else {"error_code": "BUILD_FAILED", "error_message": "It broke."}
    assert await apply(Change(end, row.id, 1, "w", store=store))
    return await models.Deployment.get(id=id)


async def deployed(api: Api, application: dict[str, Any], end: Event = Event.succeed) -> models.Deployment:
    answer = await api.owner.made(f"/applications/{application['id']}/deploy", {})
    return await played(answer["deploymentId"], end)


@BOTH
async def test_deploying_answers_with_place_and_time(api: Api, over: Transport) -> None:
    made = await api.application(gitSource=GIT)
    first = await ask(over, api.owner, "applications.deploy", made["id"], {})
    second = await ask(over, api.owner, "applications.deploy", made["id"], {})
    assert (first.data["status"], first.data["queuePosition"], first.data["estimatedTime"]) == ("pending", 1, 60)
    assert (second.data["queuePosition"], second.data["estimatedTime"]) == (2, 120)


async def test_the_202_links_to_the_deployment_and_its_logs(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    answer = await api.owner.made(f"/applications/{made['id']}/deploy", {"branch": "main"})
    id = answer["deploymentId"]
    assert answer["_links"] == {"deployment": f"/api/deployments/{id}", "logs": f"/api/deployments/{id}/logs"}
    assert (await api.owner.post(f"/applications/{made['id']}/deploy")).status_code == 202, "an absent body is {}"


@BOTH
async def test_what_cannot_be_deployed_is_422(api: Api, over: Transport) -> None:
    empty = await api.application(image=None)
    outcome = await ask(over, api.owner, "applications.deploy", empty["id"], {})
    assert (outcome.code, outcome.details) == ("UNPROCESSABLE_ENTITY", {"reason": "NOTHING_TO_DEPLOY"})
    image = await api.application()
    outcome = await ask(over, api.owner, "applications.deploy", image["id"], {"branch": "main"})
    assert outcome.details == {"reason": "NO_GIT_SOURCE"}


@BOTH
@pytest.mark.parametrize("input", [{"branch": "--upload-pack=x"}, {"commitSha": "HEAD"}, {"commitSha": "a" * 6}, {"branch": "a\x00b"}])
async def test_hostile_branches_and_commits_are_refused(api: Api, over: Transport, input: dict[str, str]) -> None:
    made = await api.application(gitSource=GIT)
    outcome = await ask(over, api.owner, "applications.deploy", made["id"], input)
    assert outcome.code == "VALIDATION_ERROR"


async def test_a_deployment_shows_its_stages_and_the_list_its_links(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    row = await deployed(api, made)
    body = (await api.owner.get(f"/deployments/{row.id}")).json()
    assert [(stage["name"], stage["status"]) for stage in body["stages"]] == [
        ("cloning", "completed"),
        ("building", "completed"),
        ("deploying", "completed"),
    ]
    assert all(stage["duration"] is not None for stage in body["stages"])
    assert set(body["_links"]) == {"self", "application", "cancel", "rollback", "logs"}
    item = (await api.owner.get(f"/deployments?applicationId={made['id']}&status=success")).json()["data"][0]
    assert item["_links"] == {
        "self": f"/api/deployments/{row.id}",
        "application": f"/api/applications/{made['id']}",
        "logs": f"/api/deployments/{row.id}/logs",
    }
    last = (await api.owner.get("/applications")).json()["data"][0]["lastDeployment"]
    assert (last["id"], last["status"]) == (str(row.id), "success")


@BOTH
async def test_rolling_back_the_live_one_goes_to_the_success_before(api: Api, over: Transport) -> None:
    made = await api.application(gitSource=GIT)
    first, failed, live = await deployed(api, made), await deployed(api, made, Event.fail), await deployed(api, made)
    outcome = await ask(over, api.owner, "deployments.rollback", str(live.id))
    assert outcome.data["previousDeploymentId"] == str(first.id)
    row = await models.Deployment.get(id=outcome.data["deploymentId"])
    assert (row.kind, row.image, row.status) == (DeploymentKind.rollback, first.image, DeploymentStatus.pending)
    assert [stage.name for stage in await models.Stage.filter(deployment_id=row.id)] == [StageName.deploying]
    outcome = await ask(over, api.owner, "deployments.rollback", str(failed.id))
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NOT_SUCCESSFUL"})


@BOTH
async def test_rolling_back_an_earlier_success_goes_to_itself(api: Api, over: Transport) -> None:
    made = await api.application(gitSource=GIT)
    first, _, _ = await deployed(api, made), await deployed(api, made), await deployed(api, made)
    outcome = await ask(over, api.owner, "deployments.rollback", str(first.id))
    assert outcome.data["previousDeploymentId"] == str(first.id)


@BOTH
async def test_the_first_success_has_nothing_before_it(api: Api, over: Transport) -> None:
    live = await deployed(api, await api.application(gitSource=GIT))
    outcome = await ask(over, api.owner, "deployments.rollback", str(live.id))
    assert outcome.details == {"reason": "NOTHING_BEFORE"}


async def test_a_change_of_what_runs_starts_a_config_deployment_and_nothing_else_does(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    path = f"/applications/{made['id']}"

    async def kinds() -> list[str]:
        return [row["kind"] for row in (await api.owner.get("/deployments?sort=createdAt&order=asc")).json()["data"]]

    await api.owner.patch(path, {"envVars": [{"key": "A", "value": "1"}]})
    assert await kinds() == [], "what never ran is not brought to a configuration"
    live = await deployed(api, made)
    await api.owner.patch(path, {"envVars": [{"key": "A", "value": "1"}], "replicas": 1})
    await api.owner.patch(path, {"name": "renamed", "replicas": 3})
    await api.owner.patch(path, {"gitSource": GIT | {"branch": "dev"}})
    assert await kinds() == ["git"]
    await api.owner.patch(path, {"envVars": [{"key": "A", "value": "2"}]})
    assert await kinds() == ["git", "config"]
    row = await models.Deployment.filter(kind=DeploymentKind.config).get()
    assert (row.image, row.snapshot["env_vars"][0]["value"]) == (live.image, "2")


async def test_a_failed_deployment_leaves_the_version_before_running(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    await deployed(api, made, Event.fail)
    assert (await api.owner.get(f"/applications/{made['id']}")).json()["status"] == "error"
    await deployed(api, made)
    await deployed(api, made, Event.fail)
    assert (await api.owner.get(f"/applications/{made['id']}")).json()["status"] == "running"


async def test_deleting_the_application_cancels_what_is_under_way(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    ids = [(await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"] for _ in range(2)]
    await apply(Change(Event.start, UUID(ids[0]), worker="w", stage=StageName.cloning))
    assert (await api.owner.delete(f"/applications/{made['id']}")).status_code == 204
    running, waiting = [await models.Deployment.get(id=id) for id in ids]
    assert (running.status, running.cancel_requested_at is None, waiting.status) == ("cloning", False, "cancelled")
    assert (await api.owner.get(f"/deployments/{ids[0]}")).status_code == 404


async def test_deleting_while_stages_change_hands_never_deadlocks(api: Api) -> None:
    for _ in range(15):
        made = await api.application(gitSource=GIT)
        rows = [UUID((await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]) for _ in range(3)]
        await apply(Change(Event.start, rows[0], worker="w", stage=StageName.cloning))
        handed = apply(Change(Event.hand_over, rows[0], 1, "w", StageName.building))
        deleted, _ = await asyncio.gather(api.owner.delete(f"/applications/{made['id']}"), handed)
        assert deleted.status_code == 204
        running, *waiting = [await models.Deployment.get(id=id) for id in rows]
        assert running.cancel_requested_at is not None
        assert {row.status for row in waiting} == {DeploymentStatus.cancelled}


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["finishedAt", "duration", "createdAt"])
async def test_deployments_that_have_not_ended_are_not_lost_in_a_sorted_list(api: Api, sort: str, order: str) -> None:
    for _ in range(3):
        made = await api.application(gitSource=GIT)
        await deployed(api, made)
        await api.owner.made(f"/applications/{made['id']}/deploy", {})
    path, seen, back = f"/deployments?sort={sort}&order={order}&limit=2", [], ""
    while path:
        body = (await api.owner.get(path)).json()
        seen += [each["id"] for each in body["data"]]
        back = body["pagination"]["prevCursor"] or back
        following = body["pagination"]["nextCursor"]
        path = f"/deployments?sort={sort}&order={order}&limit=2&cursor={following}" if following else ""
    assert len(seen) == len(set(seen)) == 6
    page = (await api.owner.get(f"/deployments?sort={sort}&order={order}&limit=2&cursor={back}")).json()
    assert [each["id"] for each in page["data"]] == seen[2:4]


async def test_a_change_during_a_deployment_does_not_take_the_new_version_back(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    await deployed(api, made)
    coming = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
    await api.owner.patch(f"/applications/{made['id']}", {"envVars": [{"key": "A", "value": "2"}]})
    change = await models.Deployment.filter(kind=DeploymentKind.config).get()
    await played(coming)
    assert (await models.Deployment.get(id=change.id)).status is DeploymentStatus.pending
    live = await wishes.last_success(UUID(made["id"]))
    assert live is not None
    assert str(live.id) == coming, "what the change will run when its turn comes"


async def test_a_change_before_the_first_success_is_not_forgotten(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    await api.owner.made(f"/applications/{made['id']}/deploy", {})
    await api.owner.patch(f"/applications/{made['id']}", {"envVars": [{"key": "A", "value": "2"}]})
    change = await models.Deployment.filter(kind=DeploymentKind.config).get()
    assert change.snapshot["env_vars"][0]["value"] == "2"


async def test_logs_are_polled_by_sequence_number(api: Api) -> None:
    from models.database import database
    from models.events import Entry, append

    made = await api.application(gitSource=GIT)
    id = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
    await append(database(), UUID(id), [Entry(models.EventKind.log, f"line {n}") for n in range(5)])
    first = (await api.owner.get(f"/deployments/{id}/logs?limit=2")).json()
    assert [line["message"] for line in first["logs"]] == ["line 0", "line 1"]
    assert set(first["logs"][0]) == {"seq", "timestamp", "stage", "message", "level"}
    rest = (await api.owner.get(f"/deployments/{id}/logs?afterSeq={first['lastSeq']}")).json()
    assert [line["message"] for line in rest["logs"]] == ["line 2", "line 3", "line 4"]
    assert (await api.owner.get(f"/deployments/{id}/logs?afterSeq=-1")).status_code == 400


async def test_followers_get_every_event_once_and_in_order(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    id = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]

    feeds = Feeds(journal.part)

    async def follow(after: int) -> list[int]:
        return [event.seq async for event in feeds.follow(UUID(id), after, Follower())]

    followers = [asyncio.create_task(follow(after)) for after in (0, 0, 2)]
    await played(id)
    whole, again, rest = await asyncio.wait_for(asyncio.gather(*followers), 10)
    assert whole == again == list(range(1, len(whole) + 1))
    assert rest == whole[2:]
    assert await asyncio.wait_for(follow(len(whole) - 1), 5) == [len(whole)], "also when it is all over"
    assert await asyncio.wait_for(follow(len(whole)), 5) == [], "and when nothing is left to tell"


async def test_events_are_served_as_server_sent_events(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    id = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
    await played(id)
    answer = await api.owner.get(f"/deployments/{id}/events?afterSeq=1")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [event["seq"] for event in events] == list(range(2, 2 + len(events)))
    assert events[-1]["status"] == "success"


async def test_the_estimate_is_the_median_of_what_went_before(api: Api) -> None:
    made = await api.application(gitSource=GIT)
    for seconds in (10, 20, 90):
        row = await deployed(api, made)
        await models.Deployment.filter(id=row.id).update(duration=seconds, finished_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = await api.owner.made(f"/applications/{made['id']}/deploy", {})
    assert answer["estimatedTime"] == 20
