"""Middlewares: pure ASGI, one concern each."""

import re
from collections.abc import Awaitable, Callable
from itertools import count
from secrets import token_hex

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import error_response

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_PROCESS = token_hex(8)
_NUMBERS = count(1)

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestId:
    """Gives each request an id: the caller's when it is sane, else a new one; it comes back as a header on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["request_id"]`."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        named = given if _SANE_ID.fullmatch(given) else f"req-{_PROCESS}-{next(_NUMBERS)}".encode()
        request_id = named.decode()
        scope["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", named)]
            await send(message)

        await self.app(scope, receive, with_header)


class Errors:
    """Turns what was raised, by a handler or by the router, into the standard envelope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in place of what raised, unless an answer has begun or nobody is there any more."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            if started:
                raise
            await error_response(error, scope["request_id"])(scope, receive, send)
