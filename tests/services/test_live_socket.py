"""`/api/ws`: the events of the specification, to whom they are told, and what a client may say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import models
from gateway import live_socket
from models import alert_changes, statuses
from models.bell import wake
from models.watcher import Watcher as WaitingRoom
from schema import standing
from tests.contract.entries import EVENTS
from tests.contract.shapes import Comparison
from tests.services.conftest import Api, Person
from tests.services.test_deployments import GIT, played
from tests.services.test_following_logs import printed


class Watcher:
    """Somebody at the socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self, type: str = "") -> dict[str, Any]:
        """The next event, of a type when one is named."""
        async with asyncio.timeout(10):
            while True:
                found: dict[str, Any] = json.loads(await self.socket.recv())
                if type in ("", found["type"]):
                    data: dict[str, Any] = found["data"]
                    return data

    async def until(self, deployment: str, status: str) -> list[dict[str, Any]]:
        """The events of a deployment up to a status."""
        found: list[dict[str, Any]] = []
        while not found or found[-1]["status"] != status:
            found += [each for each in [await self.next("deployment.status")] if each["deploymentId"] == deployment]
        return found

    async def say(self, type: str, application: str, **more: Any) -> None:
        await self.socket.send(json.dumps({"type": type, "topic": "application.logs", "applicationId": application} | more))


@asynccontextmanager
async def watching(server: str, person: Person) -> AsyncIterator[Watcher]:
    async with connect(f"{server.removesuffix('/graphql')}/ws?token={person.token}") as socket:
        await asyncio.sleep(0.2)
        yield Watcher(socket)


async def deployed(api: Api, **application: Any) -> tuple[str, str]:
    """An application, and a deployment of it that waits."""
    made = await api.application(gitSource=GIT, **application)
    return made["id"], (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]


async def test_a_deployment_is_told_as_it_goes_on_to_its_end(api: Api, server: str) -> None:
    async with watching(server, api.owner) as watcher:
        application, id = await deployed(api)
        await watcher.until(id, "pending")
        last = (await played(id)).last_seq
        await wake(UUID(id))
        found = await watcher.until(id, "success")
    assert [each["seq"] for each in found] == sorted({each["seq"] for each in found})
    assert [each["progress"] for each in found] == sorted(each["progress"] for each in found)
    assert set(found[-1]) == {"deploymentId", "applicationId", "status", "progress", "stage", "message", "seq"}
    assert (found[-1]["applicationId"], found[-1]["progress"], found[-1]["seq"]) == (application, 100, last)


async def test_it_is_told_also_when_nobody_rings(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(server, api.owner) as watcher:
        _, id = await deployed(api)
        await watcher.until(id, "pending")

        async def silent(*ids: UUID) -> None:
            pass

        monkeypatch.setattr("models.bell.wake", silent)
        await played(id)
        await watcher.until(id, "success")


async def test_only_what_one_may_see_is_told(api: Api, server: str) -> None:
    stranger, fellow = await api.person(), await api.person()
    team = (await api.owner.made("/teams", {"name": "Watchers"}))["id"]
    await api.owner.made(f"/teams/{team}/members", {"userId": fellow.id, "role": "viewer"})
    project = await api.project(teamId=team)
    async with watching(server, stranger) as outside, watching(server, fellow) as inside:
        made = await api.application(project)
        id = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
        await inside.until(id, "pending")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outside.socket.recv(), 1)


async def test_whoever_joins_a_team_is_told_from_then_on(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    joining = await api.person()
    team = (await api.owner.made("/teams", {"name": "Joiners"}))["id"]
    project = await api.project(teamId=team)
    async with watching(server, joining) as watcher:
        await api.owner.made(f"/teams/{team}/members", {"userId": joining.id, "role": "viewer"})
        await asyncio.sleep(0.5)
        made = await api.application(project)
        id = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
        await watcher.until(id, "pending")


async def test_logs_come_for_the_applications_that_are_asked_for(api: Api, server: str) -> None:
    application, _ = await deployed(api)
    await printed(application, "before")
    async with watching(server, api.owner) as watcher:
        await watcher.say("subscribe", application)
        await asyncio.sleep(0.2)
        await printed(application, "now")
        assert await watcher.next("application.logs") | {"container": ""} == {
            "applicationId": application,
            "timestamp": "2026-11-28T12:00:00Z",
            "level": "info",
            "message": "now",
            "seq": 2,
            "lost": 0,
            "replica": 1,
            "container": "",
        }
        await watcher.say("unsubscribe", application)
        await asyncio.sleep(0.2)
        await printed(application, "later")
        await watcher.say("subscribe", application, afterSeq=1)
        assert [(await watcher.next("application.logs"))["message"] for _ in range(2)] == ["now", "later"]


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "1", "null", '"subscribe"', '{"type": 1}', '{"type": "subscribe"}', b"\xff", "[" * 5000]
    + [json.dumps({"type": "subscribe", "topic": topic, "applicationId": id}) for topic, id in (("all", "a"), (None, "a"), ([], "a"))]
    + [json.dumps({"type": "subscribe", "topic": "application.logs", "applicationId": id}) for id in (1, None, [], {}, True)]
    + [
        json.dumps({"type": "subscribe", "topic": "application.logs", "applicationId": "a", "afterSeq": bad})
        for bad in ("1", -1, 1.5, [1], True, 2**70)
    ]
    + [json.dumps({"type": "publish", "topic": "application.logs", "applicationId": "a"})],
)
async def test_a_bad_frame_is_answered_and_the_socket_survives(api: Api, server: str, frame: str | bytes) -> None:
    application, _ = await deployed(api)
    async with watching(server, api.owner) as watcher:
        await watcher.socket.send(frame)
        error = await watcher.next("error")
        assert error["code"] in ("INVALID_INPUT", "VALIDATION_ERROR")
        assert error["message"]
        await watcher.say("subscribe", application)
        await asyncio.sleep(0.1)
        await printed(application, "fine")
        assert (await watcher.next("application.logs"))["message"] == "fine"


async def test_the_logs_of_what_one_may_not_see_are_an_error_with_its_code(api: Api, server: str) -> None:
    application, _ = await deployed(api)
    async with watching(server, await api.person()) as watcher:
        for id in (application, "nonsense", "", "\x00", "x" * 10_000):
            await watcher.say("subscribe", id)
            error = await watcher.next("error")
            assert (error["code"], error["applicationId"]) == ("RESOURCE_NOT_FOUND", id)


async def test_there_is_a_most_of_logs_that_one_socket_follows(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_socket, "MOST", 1)
    one, _ = await deployed(api)
    other, _ = await deployed(api)
    async with watching(server, api.owner) as watcher:
        await watcher.say("subscribe", one)
        await watcher.say("subscribe", other)
        assert (await watcher.next("error"))["applicationId"] == other
        await watcher.say("unsubscribe", one)
        await watcher.say("subscribe", other)
        await asyncio.sleep(0.2)
        await printed(other, "line")
        assert (await watcher.next("application.logs"))["applicationId"] == other


@pytest.mark.parametrize("token", ["", "nonsense"])
async def test_who_may_not_is_refused_with_401_before_the_upgrade(api: Api, server: str, token: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with watching(server, Person(api.client, token=token)):
            pass
    assert caught.value.response.status_code == 401


async def test_logging_out_closes_it(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    async with watching(server, api.owner) as watcher:
        assert (await api.owner.post("/auth/logout")).status_code == 204
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(watcher.socket.recv(), 5)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008


async def test_of_a_deployment_only_the_newest_status_waits() -> None:
    watcher, id = WaitingRoom(), UUID(int=1)
    for seq in range(1, 1000):
        status = models.DeploymentStatus.building
        watcher.put([statuses.Status(id, id, id, status, seq % 100, seq, models.StageName.building, "")])
    assert [each.seq for each in await watcher.fetch()] == [999]


async def test_the_events_are_those_that_the_specification_prints(api: Api, server: str) -> None:
    shapes, said = json.loads(EVENTS.read_text()), dict[str, Any]()
    async with watching(server, api.owner) as watcher:
        application, _ = await deployed(api)
        await watcher.say("subscribe", application)
        await asyncio.sleep(0.2)
        await printed(application, "ready")
        row = await models.Application.get(id=application)
        await models.Alert.create(
            application=row,
            project_id=row.project_id,
            metric=models.AlertMetric.memory,
            severity=models.AlertSeverity.warning,
            threshold=512,
            current=487,
            message="Full",
            seq=await alert_changes.last_seq() + 1,
        )
        async with asyncio.timeout(10):
            while len(said) < len(shapes):
                event = json.loads(await watcher.socket.recv())
                said[event["type"]] = event
    by_type = {shape["type"].removeprefix("= "): shape for shape in shapes.values()}
    assert said.keys() == by_type.keys()
    assert [each for name, event in said.items() for each in Comparison().differences(by_type[name], event)] == []
