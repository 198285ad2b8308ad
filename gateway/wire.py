"""WebSockets that are held until either side ends them: let in, sent to, and given up when nobody reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.admission import counted
from gateway.auth import bearer, context_of
from gateway.drain import StreamEnded, drain
from gateway.errors import error_response, fact
from gateway.origins import socket_is_welcome
from gateway.unread import Receiver, Unread
from models import background
from models.database import AWAY
from schema.context import Context
from schema.errors import ApiError, Forbidden
from schema.fields import Realm
from schema.standing import Leave, standings

TOKEN = "token"  # noqa: S105 (the parameter's name)
"""The query parameter of a browser, which cannot send a header (DECISIONS 25)."""
POLICY_VIOLATION, RESTART, TRY_LATER = 1008, 1012, 1013


async def entered(socket: WebSocket) -> Context:
    """Whoever opens a socket, by header or by `?token=`, counted. Raises `ApiError`, and as the database does."""
    if not socket_is_welcome(socket.scope):
        raise Forbidden("Pages of this origin may not open sockets here.")
    token = socket.query_params.get(TOKEN)
    return await counted(socket.scope, context_of(socket) if token is None else bearer(f"Bearer {token}", socket.scope))


async def refuse(socket: WebSocket, error: Exception) -> None:
    """Answer instead of an upgrade, as REST would."""
    await socket.send_denial_response(error_response(error, socket.scope))


class Wire:
    """An open socket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._receiver = Receiver()

    @asynccontextmanager
    async def held(self, context: Context) -> AsyncIterator[Leave]:
        """Hold the socket for as long as the block lasts, which ends with the client's session, with the client, and with the gateway."""
        await self._socket.accept()
        try:
            async with drain.stream(), self._receiver:
                with standings.leave(context, None, self._lose) as leave:
                    leave.roles = await context.roles(Realm.project)
                    yield leave
            await self.close(1000, "")
        except (ApiError, *AWAY) as error:
            found = fact(error, context.request_id)
            await self.close(TRY_LATER if found.status >= 500 else POLICY_VIOLATION, found.code)
        except StreamEnded:
            await self.close(RESTART, "Service restart")
        except (WebSocketDisconnect, Unread):
            pass

    async def send(self, text: str) -> None:
        """Send a frame. Raises `WebSocketDisconnect` when the client is gone."""
        if self._socket.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnect
        with self._receiver:
            await self._socket.send_text(text)

    async def receive(self) -> str:
        """The next frame. Raises `WebSocketDisconnect`."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000), message.get("reason"))
        text = message.get("text")
        return text if text is not None else (message.get("bytes") or b"").decode("utf-8", "replace")

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, unless it is."""
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.close(code, reason)

    def _lose(self, error: ApiError) -> None:
        background.start(self.close(POLICY_VIOLATION, error.code))
