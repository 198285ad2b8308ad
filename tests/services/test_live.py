"""Many who follow the same thing: it is read and encoded once, and who does not read is in nobody's way."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx2
import pytest

import models
from gateway import graphql, unread
from models.bell import wake
from models.database import database
from models.events import Entry, append
from schema import standing
from tests.services.conftest import Api
from tests.services.test_deployments import GIT, played
from tests.services.test_websocket import EVENTS, Socket, opened, started

LARGE = "x" * 50_000
FOLLOWED = "subscription ($id: ID!) { deploymentEvents(deploymentId: $id) { seq message } }"


async def told(deployment: str, *messages: str) -> None:
    await append(database(), UUID(deployment), [Entry(models.EventKind.log, each) for each in messages])
    await wake(UUID(deployment))


async def last_of(socket: Socket, seq: int) -> None:
    while (await socket.receive())["payload"]["data"]["deploymentEvents"]["seq"] < seq:
        pass


async def test_an_event_is_encoded_once_for_all_who_select_the_same(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    id, encoded = await started(api), list[Any]()
    encode = graphql._encode
    monkeypatch.setattr(graphql, "_encode", lambda result: encoded.append(result) or encode(result))
    other = EVENTS.replace("seq status", "status seq")
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(opened(server, api.owner.token)) for _ in range(20)]
        for number, socket in enumerate(sockets):
            await socket.subscribe("1", EVENTS if number else other, id=id)
            await last_of(socket, 2)
        encoded.clear()
        for seq in range(3, 8):
            await told(id, "line")
            for socket in sockets:
                await last_of(socket, seq)
    assert len(encoded) == 2 * 5


@pytest.fixture
async def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "UNREAD", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_a_socket_that_is_not_read_is_given_up_and_nobody_else_notices(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as deaf, opened(server, api.owner.token) as other:
        for socket in (deaf, other):
            await socket.subscribe("1", FOLLOWED, id=id)
        await last_of(other, 2)
        for n in range(20):
            await told(id, *[LARGE] * 20)
            await asyncio.wait_for(last_of(other, 2 + 20 * (n + 1)), 5)
        await asyncio.sleep(1)
        await told(id, LARGE)
        await last_of(other, 403)
        seen = 0
        with contextlib.suppress(Exception):
            while True:
                await deaf.receive()
                seen += 1
        assert seen < 403, "it was closed before all of it"


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_is_not_read_is_given_up(api: Api, server: str) -> None:
    id = await started(api)
    url = f"{server.replace('ws', 'http', 1).removesuffix('/graphql')}/deployments/{id}/events"
    async with httpx2.AsyncClient(timeout=10) as client, client.stream("GET", url, headers=api.owner.headers) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        for _ in range(20):
            await told(id, *[LARGE] * 20)
        await asyncio.sleep(1.5)
        with pytest.raises(httpx2.RemoteProtocolError):
            async for _ in lines:
                pass


APPLICATION = "subscription ($id: ID!) { applicationEvents(applicationId: $id) { deploymentId status seq } }"


async def test_an_application_is_followed_over_all_of_its_deployments(api: Api, server: str) -> None:
    made = await api.application(gitSource=GIT)
    other = await api.application(gitSource=GIT)
    first = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
    async with opened(server, api.owner.token) as socket:

        async def until(deployment: str, status: str) -> list[str]:
            seen: list[str] = []
            while not seen or seen[-1] != status:
                event = (await socket.receive())["payload"]["data"]["applicationEvents"]
                assert event["deploymentId"] == deployment
                seen.append(event["status"])
            return seen

        await socket.subscribe("1", APPLICATION, id=made["id"])
        assert await until(first, "pending") == ["pending"], "it begins with what is"
        await api.owner.made(f"/applications/{other['id']}/deploy", {})
        await played(first)
        await until(first, "success")
        second = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
        await played(second)
        await until(second, "success")


async def test_following_an_application_ends_with_the_right_to_see_it(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    made = await api.application(gitSource=GIT)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("1", APPLICATION, id=made["id"])
        assert (await api.owner.delete(f"/applications/{made['id']}")).status_code == 204
        frame = await socket.receive()
        assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", "RESOURCE_NOT_FOUND")
