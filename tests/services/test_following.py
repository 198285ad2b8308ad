"""A stream of server-sent events: its ids, how one goes on after one, and that it ends with the right to see it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

import models
from models.bell import wake
from models.database import database
from models.events import Entry, append
from tests.services.conftest import Api, Person
from tests.services.test_deployments import played
from tests.services.test_websocket import EVENTS, opened, started

SOON = 5.0
"""Seconds within which somebody who lost a right cannot use it any more, on what is open (DECISIONS 16)."""


async def events(api: Api, deployment: str, after: str = "", **headers: str) -> list[tuple[int, dict[str, Any]]]:
    """The ids and contents of the events of a deployment that has ended."""
    answer = await api.owner.get(f"/deployments/{deployment}/events{after}", headers=headers)
    assert answer.status_code == 200, answer.text
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block]
    assert all([line.partition(": ")[0] for line in block] == ["id", "data"] for block in blocks)
    return [(int(id.removeprefix("id: ")), json.loads(data.removeprefix("data: "))) for id, data in blocks]


async def test_the_id_of_an_event_is_its_sequence_number(api: Api) -> None:
    deployment = await started(api)
    last = (await played(deployment)).last_seq
    found = await events(api, deployment)
    assert [id for id, _ in found] == [event["seq"] for _, event in found] == list(range(1, last + 1))


async def test_a_browser_goes_on_after_the_last_event_it_had_whatever_its_url_says(api: Api) -> None:
    deployment = await started(api)
    last = (await played(deployment)).last_seq
    for url in ("", "?afterSeq=1", f"?afterSeq={last}"):
        found = await events(api, deployment, url, **{"Last-Event-ID": "3"})
        assert [id for id, _ in found] == list(range(4, last + 1))
    assert await events(api, deployment, **{"Last-Event-ID": str(last)}) == []
    assert len(await events(api, deployment, **{"Last-Event-ID": ""})) == last, "which has had none"


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "2147483648"])
async def test_an_id_that_no_event_has_is_refused(api: Api, given: str) -> None:
    answer = await api.owner.get(f"/deployments/{await started(api)}/events", headers={"Last-Event-ID": given})
    (problem,) = answer.json()["error"]["details"]["errors"]
    assert (answer.status_code, problem["field"]) == (400, "Last-Event-ID")


class Follower:
    """Somebody who follows a deployment, over server-sent events or a subscription."""

    def __init__(self, server: str, deployment: str, person: Person) -> None:
        self.server, self.deployment, self.person = server, deployment, person
        self.seen: list[int] = []
        self.failed: str | None = None
        """The code that a subscription failed with."""

    async def stream(self) -> None:
        url = f"{self.server.replace('ws', 'http', 1).removesuffix('/graphql')}/deployments/{self.deployment}/events"
        async with httpx2.AsyncClient(timeout=30) as client, client.stream("GET", url, headers=self.person.headers) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    self.seen.append(int(line.removeprefix("id: ")))

    async def subscription(self) -> None:
        async with opened(self.server, self.person.token) as socket:
            await socket.subscribe("1", EVENTS, id=self.deployment)
            while (frame := await socket.receive())["type"] == "next":
                self.seen.append(frame["payload"]["data"]["deploymentEvents"]["seq"])
            self.failed = frame["payload"][0]["extensions"]["code"]


async def member(api: Api, team: str) -> Person:
    """Somebody who may see what belongs to a team."""
    person = await api.person()
    await api.owner.made(f"/teams/{team}/members", {"userId": person.id, "role": "viewer"})
    return person


@pytest.fixture
async def deployment(api: Api) -> AsyncIterator[tuple[str, str]]:
    """A team, and a deployment that goes on in a project of it."""
    team = (await api.owner.made("/teams", {"name": "Crew"}))["id"]
    application = await api.application(await api.project(teamId=team))
    yield team, (await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"]


async def told(deployment: str) -> None:
    """Something happens."""
    await append(database(), UUID(deployment), [Entry(models.EventKind.log, "line")])
    await wake(UUID(deployment))


@pytest.mark.parametrize("quiet", [True, False], ids=["nothing happens", "much happens"])
async def test_whoever_loses_a_right_is_followed_by_nothing(api: Api, server: str, deployment: tuple[str, str], quiet: bool) -> None:
    team, id = deployment
    losing, leaving = await member(api, team), await member(api, team)
    rest = Follower(server, id, losing), Follower(server, id, leaving), Follower(server, id, api.owner)
    graphql = Follower(server, id, losing), Follower(server, id, api.owner)
    tasks = [asyncio.create_task(each.stream()) for each in rest] + [asyncio.create_task(each.subscription()) for each in graphql]
    async with asyncio.timeout(10):
        while not all(each.seen for each in (*rest, *graphql)):
            await asyncio.sleep(0.02)
    assert (await leaving.post("/auth/logout")).status_code == 204
    assert (await api.owner.delete(f"/teams/{team}/members/{losing.id}")).status_code == 204
    lost = [tasks[0], tasks[1], tasks[3]]
    async with asyncio.timeout(SOON):
        while not all(task.done() for task in lost):
            if not quiet:
                await told(id)
            await asyncio.sleep(0.05)
    assert [task.exception() for task in lost] == [None] * 3, "a stream ends as a whole answer"
    assert graphql[0].failed == "RESOURCE_NOT_FOUND"
    await told(id)
    last = (await models.Deployment.get(id=id)).last_seq
    async with asyncio.timeout(5):
        while not (rest[-1].seen[-1] == graphql[-1].seen[-1] == last):
            await asyncio.sleep(0.02)
    assert not any(last in each.seen for each in (rest[0], rest[1], graphql[0]))
    for task in (tasks[2], tasks[4]):
        assert not task.done(), "whoever may still see it goes on"
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
