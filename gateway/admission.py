"""Admission: who is asking, and whether they have asked too often, before anything is done for them."""

from collections.abc import Awaitable

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth import context_of, nobody
from gateway.middleware import PROBES
from gateway.pages import base
from gateway.prometheus import is_scraper
from gateway.ratelimit import limiter
from schema.context import Context
from schema.errors import ApiError

UNCOUNTED = PROBES | {"/api/openapi.json", "/api/v1/openapi.json"}
WEBHOOKS = ("/api/webhooks/", "/api/v1/webhooks/")
"""Where senders prove who they are by other means, and are counted once they have (`gateway.webhooks.route`)."""


class Admission:
    """Authenticates each request and counts it against its caller, or against its address when nobody is logged in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["context"]`. Raises `Unauthorized`, `InvalidToken`, `RateLimitExceeded` or `ServiceUnavailable`."""
        if scope["type"] == "http":
            await _admit(scope)
        await self.app(scope, receive, send)


async def _admit(scope: Scope) -> None:
    path: str = scope["path"]
    free = path in UNCOUNTED or scope["method"] == "OPTIONS" or path.startswith((base(), *WEBHOOKS))
    if free or is_scraper(HTTPConnection(scope)):
        scope["context"] = nobody(scope)
        return
    scope["context"] = await counted(scope, context_of(HTTPConnection(scope)))


async def counted(scope: Scope, authenticated: Awaitable[Context]) -> Context:
    """Whoever is asking, counted once they are known; who cannot be authenticated is counted against the address.

    Raises `Unauthorized`, `InvalidToken`, `RateLimitExceeded` or `ServiceUnavailable`.
    """
    try:
        context = await authenticated
    except ApiError:
        await count(scope, nobody(scope))
        raise
    await count(scope, context)
    return context


async def count(scope: Scope, context: Context, cost: int = 1) -> None:
    """Count a request, or what turned out to be more than one. Raises `RateLimitExceeded` or `ServiceUnavailable`."""
    standing = await limiter.take(context, cost)
    if standing is not None:
        before = [each for each in scope["answer_headers"] if not each[0].startswith(b"x-ratelimit-")]
        scope["answer_headers"][:] = [*before, *standing.headers]
        standing.check()
