"""GraphQL over WebSocket, spoken frame by frame against a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import models
from gateway import websocket
from gateway.operations import MOST
from models.database import fetch
from schema import standing
from tests.services.conftest import Api
from tests.services.test_deployments import GIT, played

EVENTS = "subscription ($id: ID!, $after: Int! = 0) { deploymentEvents(deploymentId: $id, afterSeq: $after) { seq status } }"


class Socket:
    """A raw client."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.connection.recv(), 10))
        return frame

    async def closed(self) -> int:
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                await asyncio.wait_for(self.connection.recv(), 10)
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code

    async def subscribe(self, key: str, query: str, **variables: Any) -> None:
        await self.send(type="subscribe", id=key, payload={"query": query, "variables": variables})

    async def until_complete(self, id: str) -> list[dict[str, Any]]:
        found = []
        while (frame := await self.receive())["type"] != "complete":
            assert frame["id"] == id
            found.append(frame["payload"])
        return found


@asynccontextmanager
async def opened(server: str, token: str | None = None) -> AsyncIterator[Socket]:
    async with connect(server, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
        socket = Socket(connection)
        if token is not None:
            await socket.send(type="connection_init", payload={"Authorization": f"Bearer {token}"})
            assert (await socket.receive())["type"] == "connection_ack"
        yield socket


async def started(api: Api) -> str:
    made = await api.application(gitSource=GIT)
    id: str = (await api.owner.made(f"/applications/{made['id']}/deploy", {}))["deploymentId"]
    return id


async def beginning(socket: Socket) -> None:
    """Hear what there is to say of a deployment that waits: that it does, and where it stands."""
    assert [(await socket.receive())["payload"]["data"]["deploymentEvents"]["seq"] for _ in range(2)] == [1, 2]


async def test_a_subscription_is_followed_to_its_last_event(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("1", EVENTS, id=id)
        first = await socket.receive()
        assert first["payload"]["data"]["deploymentEvents"] == {"seq": 1, "status": "pending"}
        await played(id)
        rest = [payload["data"]["deploymentEvents"] for payload in await socket.until_complete("1")]
        assert [event["seq"] for event in rest] == list(range(2, 2 + len(rest)))
        assert rest[-1]["status"] == "success"
        await socket.subscribe("2", EVENTS, id=id, after=3)
        again = [payload["data"]["deploymentEvents"] for payload in await socket.until_complete("2")]
        assert again == rest[2:]


async def test_queries_and_mutations_run_over_the_socket_too(api: Api, server: str) -> None:
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("q", "{ me { username } }")
        assert await socket.until_complete("q") == [{"data": {"me": {"username": "owner"}}}]


async def test_one_bad_operation_leaves_the_others_alone(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("good", EVENTS, id=id)
        await beginning(socket)
        for bad in ("{", "{ nothing }", "subscription { deploymentEvents { seq } }"):
            await socket.subscribe("bad", bad)
            frame = await socket.receive()
            assert (frame["type"], frame["id"]) == ("error", "bad")
            assert frame["payload"][0]["extensions"]["code"] in ("INVALID_INPUT", "VALIDATION_ERROR")
        await played(id)
        assert (await socket.until_complete("good"))[-1]["data"]["deploymentEvents"]["status"] == "success"


async def test_a_stranger_cannot_follow(api: Api, server: str) -> None:
    id, stranger = await started(api), await api.person()
    async with opened(server, stranger.token) as socket:
        await socket.subscribe("1", EVENTS, id=id)
        frame = await socket.receive()
        assert frame["type"] == "error"
        assert frame["payload"][0]["extensions"]["code"] == "RESOURCE_NOT_FOUND"


async def test_a_finished_subscription_frees_its_id(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("1", EVENTS, id=id)
        await beginning(socket)
        await socket.send(type="complete", id="1")
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
        await socket.subscribe("1", "{ me { username } }")
        assert len(await socket.until_complete("1")) == 1


async def test_an_id_that_is_used_again_at_once_is_the_new_ones(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("1", EVENTS, id=id)
        await beginning(socket)
        await socket.send(type="complete", id="1")
        await socket.subscribe("1", EVENTS, id=id)
        await beginning(socket)
        await socket.subscribe("1", "{ me { username } }")
        assert await socket.closed() == 4409


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (["nonsense"], 4400),
        (['"scalar"'], 4400),
        (['{"type": "connection_init", "payload": ' + "[" * 100_000], 4400),
        (['{"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }"}}'], 4401),
    ],
)
async def test_breaking_the_protocol_before_the_greeting_closes_with_its_code(server: str, frames: list[str], code: int) -> None:
    async with opened(server) as socket:
        for frame in frames:
            await socket.connection.send(frame)
        assert await socket.closed() == code


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (['{"type": "connection_init"}'], 4429),
        (['{"type": "unheard of"}'], 4400),
        (['{"type": "subscribe", "id": "1"}'], 4400),
        (['{"type": "subscribe", "id": "1", "payload": {"query": 7}}'], 4400),
    ],
)
async def test_breaking_the_protocol_afterwards_closes_with_its_code(api: Api, server: str, frames: list[str], code: int) -> None:
    async with opened(server, api.owner.token) as socket:
        for frame in frames:
            await socket.connection.send(frame)
        assert await socket.closed() == code


NO_MESSAGES = [
    *("", "1", "null", "[]", '[{"type": "ping"}]', "{}", b"\xff", b'{"type": "ping"}'),
    *(json.dumps({"type": kind}) for kind in (7, None, [], {}, "next", "connection_ack")),
    *(json.dumps({"type": "subscribe", "id": id, "payload": {"query": "{ me { id } }"}}) for id in (7, 1.5, True, None, [], {})),
    *(json.dumps({"type": "subscribe", "id": "1", "payload": payload}) for payload in (7, "{ me { id } }", [], None, {"query": None})),
    *(
        json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }", name: wrong}})
        for name, wrong in (("variables", []), ("variables", "x"), ("operationName", 7), ("operationName", []), ("extensions", []))
    ),
    *(json.dumps({"type": "complete", "id": id}) for id in (7, None, [])),
    '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{ me { id } }"}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }", "variables": {"a": NaN}}}',
]


async def test_what_is_no_message_of_the_protocol_closes_its_socket_and_no_other(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as other:
        await other.subscribe("1", EVENTS, id=id)
        await beginning(other)
        for frame in NO_MESSAGES:
            async with opened(server, api.owner.token) as socket:
                await socket.connection.send(frame)
                assert (frame, await socket.closed()) == (frame, 4400)
        await played(id)
        assert (await other.until_complete("1"))[-1]["data"]["deploymentEvents"]["status"] == "success"


async def test_what_is_a_message_but_cannot_be_run_is_an_error_of_its_own(api: Api, server: str) -> None:
    id, me = await started(api), "{ me { username } }"
    wanting: list[tuple[dict[str, Any], str]] = [
        ({}, "INVALID_INPUT"),
        ({"query": "\x00"}, "INVALID_INPUT"),
        ({"query": me, "operationName": "nothing"}, "INVALID_INPUT"),
        ({"query": f"query A {me} query B {me}"}, "INVALID_INPUT"),
        ({"query": me, "extensions": {"persistedQuery": 7}}, "INVALID_INPUT"),
        ({"documentId": "nothing"}, "DOCUMENT_NOT_FOUND"),
        *(({"query": EVENTS, "variables": {"id": wrong}}, "VALIDATION_ERROR") for wrong in ([], {}, None, True)),
        *(({"query": EVENTS, "variables": {"id": id, "after": wrong}}, "VALIDATION_ERROR") for wrong in ("1", 1.5, -1, 2**40, 10**300)),
        *(({"query": EVENTS, "variables": {"id": other}}, "RESOURCE_NOT_FOUND") for other in (7, "", "\x00", "nonsense")),
    ]
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("good", EVENTS, id=id)
        await beginning(socket)
        for payload, code in wanting:
            await socket.send(type="subscribe", id="bad", payload=payload)
            frame = await socket.receive()
            assert (payload, frame["id"], frame["type"]) == (payload, "bad", "error")
            assert (payload, frame["payload"][0]["extensions"]["code"]) == (payload, code)
        for strange in ("", "\x00", "a\nb", "x" * 10_000):
            await socket.send(type="complete", id=strange)
            await socket.subscribe(strange, me)
            assert len(await socket.until_complete(strange)) == 1
        await played(id)
        assert (await socket.until_complete("good"))[-1]["data"]["deploymentEvents"]["status"] == "success"


async def test_whoever_does_not_say_in_words_who_they_are_is_nobody(server: str) -> None:
    for payload in (7, [], "Bearer", None, {"Authorization": 7}, {"Authorization": []}, {"authorization": {}}):
        async with opened(server) as socket:
            await socket.send(type="connection_init", payload=payload)
            assert (await socket.receive())["type"] == "connection_ack"
            await socket.subscribe("1", "{ me { username } }")
            assert (await socket.receive())["payload"][0]["extensions"]["code"] == "UNAUTHORIZED"


async def test_an_id_in_use_closes_with_4409(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        for _ in range(2):
            await socket.subscribe("1", EVENTS, id=id)
        assert await socket.closed() == 4409


async def test_one_operation_too_many_is_refused_and_the_others_go_on(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        for number in range(MOST):
            await socket.subscribe(str(number), EVENTS, id=id)
        for _ in range(2 * MOST):
            assert (await socket.receive())["type"] == "next"
        await socket.subscribe("more", "{ me { username } }")
        frame = await socket.receive()
        assert (frame["type"], frame["id"], frame["payload"][0]["extensions"]["code"]) == ("error", "more", "CONFLICT")
        await socket.send(type="complete", id="0")
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
        await socket.subscribe("more", "{ me { username } }")
        assert len(await socket.until_complete("more")) == 1


async def test_a_ping_is_answered_before_the_greeting_too(api: Api, server: str) -> None:
    async with opened(server) as socket:
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
        await socket.send(type="connection_init", payload={"Authorization": f"Bearer {api.owner.token}"})
        assert (await socket.receive())["type"] == "connection_ack"


async def test_operations_that_are_ended_at_once_cost_no_connection_and_are_counted(limited: Any, api: Api, server: str) -> None:
    async with opened(server, api.owner.token) as socket:
        before = await connections()
        for number in range(40):
            await socket.subscribe(str(number), "{ me { username } }")
            await socket.send(type="complete", id=str(number))
        await socket.subscribe("last", "{ me { username } }")
        assert await socket.until_complete("last")
        assert before <= await connections()
        await limited('{"authenticated": {"limit": 3}}')
        for number in range(3):
            await socket.subscribe(str(number), "{ me { username } }")
            await socket.send(type="complete", id=str(number))
        await socket.subscribe("beyond", "{ me { username } }")
        frame = await socket.receive()
        assert frame["payload"][0]["extensions"]["code"] == "RATE_LIMIT_EXCEEDED"


async def connections() -> set[int]:
    """The processes of the database that serve somebody."""
    return {row[0] for row in await fetch("select pid from pg_stat_activity where datname = current_database()")}


async def test_who_never_greets_is_closed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PATIENCE", 0.1)
    async with opened(server) as socket:
        assert await socket.closed() == 4408


async def test_a_wrong_token_is_refused(server: str) -> None:
    async with opened(server) as socket:
        await socket.send(type="connection_init", payload={"Authorization": "Bearer nonsense"})
        assert await socket.closed() == 4403


async def test_logging_out_closes_open_sockets(api: Api, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    async with opened(server, api.owner.token) as socket:
        assert (await api.owner.post("/auth/logout")).status_code == 204
        assert await socket.closed() == 4403


async def test_a_role_that_is_taken_away_bites_on_open_sockets(api: Api, server: str) -> None:
    id = await started(api)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("1", "query ($id: ID!) { deployment(id: $id) { status } }", id=id)
        assert "errors" not in (await socket.until_complete("1"))[0]
        await models.User.filter(username="owner").update(role=models.GlobalRole.member)
        await models.Project.all().update(owner_id=(await api.person()).id)
        await socket.subscribe("2", "query ($id: ID!) { deployment(id: $id) { status } }", id=id)
        found = (await socket.until_complete("2"))[0]
        assert found["errors"][0]["extensions"]["code"] == "RESOURCE_NOT_FOUND"


async def test_another_subprotocol_is_not_spoken(server: str) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with connect(server, subprotocols=["graphql-ws"]) as connection:  # type: ignore[list-item]
            await connection.recv()


@pytest.mark.parametrize(("origin", "welcome"), [("https://app.dokploy.com", True), ("https://evil.example", False), ("null", False)])
async def test_a_page_of_a_foreign_origin_is_refused(api: Api, server: str, origin: str, welcome: bool) -> None:
    try:
        async with connect(server, subprotocols=["graphql-transport-ws"], origin=origin):  # type: ignore[list-item,arg-type]
            assert welcome
    except InvalidStatus as error:
        assert (error.response.status_code, welcome) == (403, False)


async def test_a_page_of_the_gateway_itself_is_welcome(api: Api, server: str) -> None:
    origin = server.replace("ws://", "http://").removesuffix("/api/graphql")
    async with connect(server, subprotocols=["graphql-transport-ws"], origin=origin):  # type: ignore[list-item,arg-type]
        pass


async def test_operations_on_a_socket_are_counted(limited: Any, api: Api, server: str) -> None:
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("known", "{ me { username } }")
        await socket.until_complete("known")
        await limited('{"authenticated": {"limit": 3}}')
        for number in range(3):
            await socket.subscribe(str(number), "{ me { username } }")
            assert (await socket.until_complete(str(number)))[0]["data"]
        await socket.subscribe("last", "{ me { username } }")
        frame = await socket.receive()
        assert (frame["type"], frame["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMIT_EXCEEDED")
    assert (await api.owner.get("/users/me")).status_code == 429, "however one asks, it is the same bucket"


async def test_opening_sockets_is_counted_too(limited: Any, api: Api, server: str) -> None:
    await limited('{"anonymous": {"limit": 2}}')
    codes = []
    for _ in range(3):
        async with connect(server, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
            socket = Socket(connection)
            await socket.send(type="connection_init")
            try:
                codes.append((await socket.receive())["type"])
            except ConnectionClosed as closed:
                codes.append(str(closed.rcvd.code if closed.rcvd else 0))
    assert codes == ["connection_ack", "connection_ack", "4429"]


async def test_documents_that_are_refused_are_counted_too(limited: Any, api: Api, server: str) -> None:
    async with opened(server, api.owner.token) as socket:
        await limited('{"authenticated": {"limit": 3}}')
        codes = []
        for number in range(4):
            await socket.subscribe(str(number), "{ nothing }")
            codes.append((await socket.receive())["payload"][0]["extensions"]["code"])
    assert codes == ["VALIDATION_ERROR"] * 3 + ["RATE_LIMIT_EXCEEDED"]


async def test_forged_tokens_are_counted_too(limited: Any, api: Api, server: str) -> None:
    await limited('{"anonymous": {"limit": 2}}')
    codes = []
    for _ in range(3):
        async with connect(server, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
            socket = Socket(connection)
            await socket.send(type="connection_init", payload={"Authorization": "Bearer forged"})
            codes.append(await socket.closed())
    assert codes == [4403, 4403, 4429]
