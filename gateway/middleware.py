"""Middlewares: pure ASGI, one concern each, in the order in which `gateway.app` lists them."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from itertools import count
from secrets import token_hex
from time import perf_counter
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from gateway.drain import drain
from gateway.errors import error_response
from gateway.metrics import answered
from gateway.peers import is_secure
from models.settings import settings
from schema.errors import ServiceUnavailable

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_PROCESS = token_hex(8)
_NUMBERS = count(1)

SECURITY = [
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"1; mode=block"),
]
CLOSE = (b"connection", b"close")
"""Of every answer of a gateway that stops."""
POLICY = (b"content-security-policy", b"default-src 'self'")
"""Of every answer but the pages, which bring their own."""
PROBES = frozenset({"/api/health", "/api/v1/health"})
"""What is asked by the machine that this runs on: neither redirected nor counted."""

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Timed:
    """Counts each request that is answered, by how long that took. What marks its scope as `untimed` takes as long as its client likes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time a request, whatever it raises."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 0, perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if status and "untimed" not in scope:
                answered(scope["method"], status, perf_counter() - began)


class Headers:
    """Gives each request an id, the caller's when it is sane, and each answer the headers that all answers have.

    What stands inside adds headers to the answer by appending to `scope["answer_headers"]`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["request_id"]` and `scope["answer_headers"]`."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        named = given if _SANE_ID.fullmatch(given) else f"req-{_PROCESS}-{next(_NUMBERS)}".encode()
        request_id = named.decode()
        scope["request_id"] = request_id
        added = scope["answer_headers"] = [(b"x-request-id", named), *SECURITY]
        structlog.contextvars.bind_contextvars(request_id=request_id)

        def with_headers(message: Message) -> Awaitable[None]:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                own = message.get("headers", ())
                policy = [] if any(name == POLICY[0] for name, _ in own) else [POLICY]
                message["headers"] = [*own, *added, *policy, *([CLOSE] if drain.begun else [])]
            return send(message)

        await self.app(scope, receive, with_headers)


class HttpsOnly:
    """Sends plain HTTP to the public URL when that is https, as far as it is no probe from this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect, or refuse a socket, that is not secure."""
        public = settings().public_url
        wanted = public.startswith("https://") and scope["type"] in ("http", "websocket") and scope["path"] not in PROBES
        if not wanted or is_secure(scope):
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await WebSocketClose(1008, "Use wss")(scope, receive, send)
            return
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        location = public.encode() + quote(scope["path"], safe="/:@!$&'()*+,;=~").encode() + query
        await send({"type": "http.response.start", "status": 301, "headers": [(b"location", location), (b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


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
        except asyncio.CancelledError:
            if started or not drain.begun:
                raise
            await error_response(ServiceUnavailable("The gateway stops, and this took too long."), scope)(scope, receive, send)
        except Exception as error:
            if started:
                raise
            await error_response(error, scope)(scope, receive, send)
