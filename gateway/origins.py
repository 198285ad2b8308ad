"""Origins: whose pages may call the API from a browser (specification, "CORS Configuration"; DECISIONS 13)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from models.settings import settings

EXPOSED = (
    "X-Request-ID, Idempotency-Replayed, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Used, "
    "X-Deprecated, X-Deprecated-Version, X-Sunset, X-Migration-Guide, Accept-Ranges, Content-Disposition, Content-Range, ETag"
)
PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range, X-Request-ID, X-GraphQL-Event-Stream-Token",
    ),
    (b"access-control-max-age", b"3600"),
]


def _named(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


def socket_is_welcome(scope: Scope) -> bool:
    """Whether a WebSocket comes from a program, from this installation's own pages, or from a page of an allowed origin."""
    origin = (_named(scope, b"origin") or b"").decode("latin-1")
    if not origin:
        return True
    host = (_named(scope, b"host") or b"").decode("latin-1")
    own = {settings().public_url} if settings().public_url else {f"http://{host}", f"https://{host}"}
    return origin in settings().cors_origins | own


class Cors:
    """Tells browsers which origins may call the API, and answers their preflights."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers for an allowed origin; answer a preflight."""
        headers: list[tuple[bytes, bytes]] = scope.get("answer_headers", [])
        headers.append((b"vary", b"Origin"))
        origin = _named(scope, b"origin") if scope["type"] == "http" else None
        if origin is None:
            await self.app(scope, receive, send)
            return
        allowed = origin.decode("latin-1") in settings().cors_origins
        if allowed:
            headers += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED.encode())]
        if scope["method"] == "OPTIONS" and _named(scope, b"access-control-request-method"):
            headers += PREFLIGHT if allowed else []
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)
