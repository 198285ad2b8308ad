"""Following what containers print: over a WebSocket, as server-sent events, as a subscription."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from models import LogLevel, container_logs
from models.bell import wake
from models.container_logs import Printed
from schema import standing
from tests.services.conftest import Api, Person
from tests.services.test_container_logs import at
from tests.services.test_websocket import opened

EVENTS = "text/event-stream"
SUBSCRIPTION = """
    subscription ($id: ID!, $after: BigInt! = 0) { applicationLogs(applicationId: $id, tail: 2, afterSeq: $after) { seq message lost } }
"""


@pytest.fixture
async def application(api: Api) -> str:
    id: str = (await api.application())["id"]
    return id


async def printed(application: str, *texts: str, lost: int = 0, level: LogLevel = LogLevel.info) -> None:
    """Something is printed."""
    await container_logs.store(UUID(application), [Printed(at(n), level, 1, text) for n, text in enumerate(texts)], lost, {})
    await wake(UUID(application))


@asynccontextmanager
async def following(
    server: str, person: Person, application: str, query: str = "", *, by: str = "token"
) -> AsyncIterator[ClientConnection]:
    given = f"&token={person.token}" if by == "token" else ""
    headers = person.headers if by == "header" else {}
    url = f"{server.removesuffix('/graphql')}/applications/{application}/logs?follow=true{given}{query}"
    async with connect(url, additional_headers=headers) as socket:
        yield socket


async def next_of(socket: ClientConnection, *keys: str) -> list[Any]:
    frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
    return [frame[key] for key in keys]


@pytest.mark.parametrize("by", ["token", "header"])
async def test_a_frame_is_a_line_of_the_log(api: Api, server: str, application: str, by: str) -> None:
    await printed(application, "one", "two", "three")
    async with following(server, api.owner, application, "&tail=2", by=by) as socket:
        name = (await api.owner.get(f"/applications/{application}")).json()["serviceName"]
        assert json.loads(await socket.recv()) == {
            "seq": 2,
            "timestamp": "2026-11-28T12:00:01Z",
            "level": "info",
            "message": "two",
            "container": f"{name}-1",
            "replica": 1,
            "lost": 0,
        }
        assert await next_of(socket, "message") == ["three"]
        await printed(application, "four")
        assert await next_of(socket, "seq", "message") == [4, "four"]


async def test_whoever_comes_back_goes_on_where_they_were(api: Api, server: str, application: str) -> None:
    await printed(application, "one", "two", "three")
    async with following(server, api.owner, application, "&afterSeq=1") as socket:
        assert [await next_of(socket, "seq") for _ in range(2)] == [[2], [3]]


async def test_what_was_lost_is_said_where_it_is_missing(api: Api, server: str, application: str) -> None:
    await printed(application, "one")
    async with following(server, api.owner, application) as socket:
        assert await next_of(socket, "seq", "lost") == [1, 0]
        await printed(application, "nine", "ten", lost=7)
        assert await next_of(socket, "seq", "lost") == [9, 7]
        assert await next_of(socket, "seq", "lost") == [10, 0]
    answer = await api.owner.get(f"/applications/{application}/logs")
    assert [each["lost"] for each in answer.json()["logs"]] == [0, 7, 0]


async def test_lines_that_are_not_asked_for_do_not_come_and_hide_no_loss(api: Api, server: str, application: str) -> None:
    async with following(server, api.owner, application, "&level=warning&search=DISK") as socket:
        await printed(application, "disk is fine")
        await printed(application, "net is slow", lost=3, level=LogLevel.error)
        await printed(application, "disk is full", level=LogLevel.error)
        assert await next_of(socket, "seq", "message", "lost") == [6, "disk is full", 3]


async def test_server_sent_events_are_the_same_and_resume_by_their_id(api: Api, server: str, application: str) -> None:
    await printed(application, "one", "two", "three")
    url = f"{server.replace('ws', 'http', 1).removesuffix('/graphql')}/applications/{application}/logs?follow=true"
    headers = api.owner.headers | {"Accept": EVENTS, "Last-Event-ID": "1"}
    async with httpx2.AsyncClient(timeout=10) as client, client.stream("GET", url, headers=headers) as answer:
        assert answer.headers["content-type"].startswith(EVENTS)
        lines = answer.aiter_lines()
        assert [await anext(lines) for _ in range(1)] == ["id: 2"]
        assert json.loads((await anext(lines)).removeprefix("data: "))["message"] == "two"


async def test_a_subscription_is_the_same(api: Api, server: str, application: str) -> None:
    await printed(application, "one", "two", "three")
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("1", SUBSCRIPTION, id=application)
        found = [(await socket.receive())["payload"]["data"]["applicationLogs"] for _ in range(2)]
        assert found == [{"seq": 2, "message": "two", "lost": 0}, {"seq": 3, "message": "three", "lost": 0}]
        await socket.subscribe("2", SUBSCRIPTION, id=application, after=2)
        assert (await socket.receive())["payload"]["data"]["applicationLogs"]["seq"] == 3


async def test_following_takes_a_form_that_can_be_followed(api: Api, application: str) -> None:
    answer = await api.owner.get(f"/applications/{application}/logs?follow=true")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_INPUT")
    answer = await api.owner.get(f"/applications/{application}/logs?follow=perhaps")
    assert answer.json()["error"]["details"]["errors"][0]["field"] == "follow"
    assert (await api.owner.get(f"/applications/{application}/logs?follow=false")).json()["logs"] == []


async def test_polling_goes_on_where_it_was(api: Api, application: str) -> None:
    await printed(application, *map(str, range(1, 8)))
    path, seen, last = f"/applications/{application}/logs?tail=3&afterSeq=", list[str](), 1
    while found := (await api.owner.get(f"{path}{last}")).json()["logs"]:
        seen += [each["message"] for each in found]
        last = found[-1]["seq"]
    assert seen == [str(n) for n in range(2, 8)]


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [("nobody", "", 401), ("liar", "", 401), ("stranger", "", 404), ("owner", "&tail=-1", 400), ("owner", "&other=1", 400)],
)
async def test_who_may_not_is_told_before_the_upgrade(api: Api, server: str, application: str, who: str, query: str, status: int) -> None:
    people = {"nobody": api.anonymous, "owner": api.owner, "stranger": await api.person()}
    person = people.get(who) or Person(api.client, token="lies")
    with pytest.raises(InvalidStatus) as caught:
        async with following(server, person, application, query, by="header" if who == "nobody" else "token"):
            pass
    assert caught.value.response.status_code == status
    assert caught.value.response.headers["X-Request-ID"]
    assert json.loads(caught.value.response.body or b"")["error"]["code"]


async def test_a_foreign_page_may_not_follow(api: Api, server: str, application: str) -> None:
    url = f"{server.removesuffix('/graphql')}/applications/{application}/logs?follow=true&token={api.owner.token}"
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, origin="https://evil.example.com"):  # type: ignore[arg-type]
            pass
    assert caught.value.response.status_code == 403


async def test_logging_out_ends_it(api: Api, server: str, application: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    async with following(server, api.owner, application) as socket:
        assert (await api.owner.post("/auth/logout")).status_code == 204
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(socket.recv(), 5)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "INVALID_TOKEN")


async def test_an_application_that_is_deleted_ends_it(api: Api, server: str, application: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    async with following(server, api.owner, application) as socket:
        assert (await api.owner.delete(f"/applications/{application}")).status_code == 204
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(socket.recv(), 5)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.reason == "RESOURCE_NOT_FOUND"


async def test_hostile_frames_are_read_and_mean_nothing(api: Api, server: str, application: str) -> None:
    async with following(server, api.owner, application) as socket:
        for frame in ("", "[]", "{", '{"type": 1}', b"\xff\x00"):
            await socket.send(frame)
        await printed(application, "one")
        assert await next_of(socket, "message") == ["one"]
