"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from gateway import followed, graphql_http, graphql_stream, live_socket, oidc, openapi, pages, prometheus, rest, websocket
from gateway.admission import Admission
from gateway.graphql import Runner
from gateway.graphql_stream import Streams
from gateway.middleware import Errors, Headers, HttpsOnly, Timed
from gateway.origins import Cors
from gateway.persisted import Persisted, listed
from gateway.ratelimit import limiter
from gateway.reader import Reader
from gateway.routing import Paths
from gateway.webhooks import route as webhooks
from models.bell import bell
from models.database import connected
from models.settings import settings
from schema.surface import surface


def _outside(app: ASGIApp) -> ASGIApp:
    """What every request passes, from the inside out."""
    return Timed(Headers(HttpsOnly(Cors(Errors(Admission(app))))))


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer where no route leads."""
    if scope["type"] != "websocket":
        raise HTTPException(404)
    await WebSocketClose()(scope, receive, send)


class Application:
    """The application, which holds what it needs while it serves."""

    def __init__(self) -> None:
        found = surface()
        runner = Runner(found)
        reader = Reader(runner, Persisted(listed(settings().graphql_documents, found.catalog, settings().graphql_limits)))
        self._streams = Streams(runner)
        graphql = [*graphql_http.routes(runner, reader, self._streams), *graphql_stream.routes(self._streams)]
        documents = [*openapi.routes(found), *pages.routes(), *prometheus.routes()]
        doors = [*webhooks.routes(rest.PREFIXES), *oidc.routes(found)]
        paths = Paths([*rest.routes(found), *graphql, *documents, *doors])
        routes = [paths, *websocket.routes(runner, reader), *followed.routes(found), *live_socket.routes(found), pages.assets()]
        self._app = _outside(Router(routes, default=_nowhere, lifespan=self.lifespan))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Connect to the database and to Valkey."""
        async with connected(impatient=True), bell, limiter, self._streams:
            yield
