"""GraphQL over WebSocket, to the protocol `graphql-transport-ws`."""

import asyncio
from typing import Any

import msgspec
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.admission import count, counted
from gateway.auth import bearer, context_of, nobody
from gateway.drain import StreamEnded, drain
from gateway.errors import GRAPHQL, fact, problem
from gateway.graphql import Asking, Runner
from gateway.operations import Operations
from gateway.origins import socket_is_welcome
from gateway.reader import Reader
from gateway.unread import Receiver, Unread
from models import background
from models.database import AWAY
from schema import tokens
from schema.context import Context
from schema.errors import ApiError, RateLimitExceeded, ServiceUnavailable
from schema.plan.document import Document
from schema.standing import standings

PROTOCOL = "graphql-transport-ws"
PATIENCE = 10.0
"""Seconds to wait for connection_init."""
_CODES: dict[type[ApiError], int] = {RateLimitExceeded: 4429, ServiceUnavailable: 1013}
"""What a socket is closed with whose opening is refused for other reasons than who it is."""

_encode = msgspec.json.Encoder().encode


class Frame(msgspec.Struct):
    """A message of the protocol."""

    type: str
    id: str | None = None
    payload: Any = None


class Closed(Exception):
    """The protocol was broken: the socket is closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Conversation:
    """One socket."""

    def __init__(self, socket: WebSocket, runner: Runner, reader: Reader) -> None:
        self.socket, self.reader = socket, reader
        self.context: Context | None = None
        self.operations = Operations(runner, self._tell)
        self._receiver = Receiver()

    async def hold(self) -> None:
        """Talk until either side ends it."""
        try:
            async with drain.stream(), self._receiver:
                self.context = await self._greeting()
                with standings.leave(self.context, None, self._lose):
                    while True:
                        await self._handle(await self._next())
        except Closed as closed:
            await self._close(closed.code, closed.reason)
        except StreamEnded:
            await self.operations.finish()
            await self._close(1012, "Service restart")
        except (WebSocketDisconnect, Unread):
            pass
        finally:
            await self.operations.cancel()

    async def _close(self, code: int, reason: str) -> None:
        if self.socket.application_state is WebSocketState.CONNECTED:
            await self.socket.close(code, reason)

    async def _send(self, message: dict[str, Any]) -> None:
        if self.socket.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnect
        with self._receiver:
            await self.socket.send_text(_encode(message).decode())

    async def _tell(self, kind: str, id: str, payload: Any) -> None:
        await self._send({"id": id, "type": kind} if payload is None else {"id": id, "type": kind, "payload": payload})

    async def _next(self) -> Frame:
        try:
            return msgspec.json.decode(await self.socket.receive_text(), type=Frame)
        except (msgspec.MsgspecError, KeyError, RecursionError) as error:
            raise Closed(4400, "Invalid message") from error

    async def _greeting(self) -> Context:
        try:
            async with asyncio.timeout(PATIENCE):
                while (frame := await self._next()).type in ("ping", "pong"):
                    await self._handle(frame)
        except TimeoutError as error:
            raise Closed(4408, "Connection initialisation timeout") from error
        if frame.type != "connection_init":
            raise Closed(4401, "Unauthorized")
        payload = frame.payload if isinstance(frame.payload, dict) else {}
        given = payload.get("Authorization") or payload.get("authorization")
        scope = self.socket.scope
        try:
            context = await counted(scope, bearer(given, scope) if isinstance(given, str) else context_of(self.socket))
        except (*AWAY, ApiError) as error:
            found = fact(error, scope["request_id"])
            raise Closed(_CODES.get(type(found), 4403), found.code) from error
        await self._send({"type": "connection_ack"})
        return context

    def _lose(self, error: ApiError) -> None:
        """Close the socket when the session ends."""
        background.start(self._close(4403, error.code))

    async def _present(self) -> Context:
        """The caller as they are now, in a context of its own: roles learned earlier do not outlive one operation.

        Raises `InvalidToken` when the session has ended.
        """
        return await tokens.present(self.context or nobody(self.socket.scope))

    async def _handle(self, frame: Frame) -> None:
        match frame:
            case Frame(type="ping"):
                await self._send({"type": "pong"})
            case Frame(type="pong"):
                pass
            case Frame(type="connection_init"):
                raise Closed(4429, "Too many initialisation requests")
            case Frame(type="subscribe", id=str(id), payload=dict(payload)):
                await self._subscribe(id, payload)
            case Frame(type="complete", id=str(id)):
                self.operations.end(id)
            case _:
                raise Closed(4400, "Invalid message")

    async def _subscribe(self, id: str, payload: dict[str, Any]) -> None:
        if id in self.operations:
            raise Closed(4409, f"Subscriber for {id} already exists")
        try:
            request = msgspec.convert(payload, Asking)
        except msgspec.MsgspecError as error:
            raise Closed(4400, "Invalid message") from error
        request_id: str = self.socket.scope["request_id"]
        try:
            self.operations.check()
            await count(self.socket.scope, self.context or nobody(self.socket.scope))
        except ApiError as error:
            await self._tell("error", id, [problem(error, request_id)])
            return

        async def prepare() -> tuple[Context, Document, Asking]:
            context = await self._present()
            document, asked = await self.reader.read(self.socket.scope, request, context)
            return context, document, asked

        self.operations.begin(id, request_id, prepare)


class Sockets:
    """The WebSocket side of the GraphQL endpoint: plain ASGI, since what Starlette puts around a function stays for as long as a socket."""

    def __init__(self, runner: Runner, reader: Reader) -> None:
        self._runner, self._reader = runner, reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Talk with one client."""
        socket = WebSocket(scope, receive, send)
        if not socket_is_welcome(scope):
            await socket.close(1008, "Foreign origin")
        elif PROTOCOL not in scope.get("subprotocols", ()):
            await socket.close(4406, "Subprotocol not acceptable")
        else:
            await socket.accept(PROTOCOL)
            await Conversation(socket, self._runner, self._reader).hold()


def routes(runner: Runner, reader: Reader) -> list[WebSocketRoute]:
    """The WebSocket side of the GraphQL endpoint."""
    return [WebSocketRoute(path, Sockets(runner, reader)) for path in GRAPHQL]
