"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from gateway import graphql_http, openapi, pages, rest, websocket
from gateway.errors import error_response
from gateway.graphql import Runner
from gateway.middleware import Errors, RequestId
from models import events
from models.database import connected
from schema.surface import surface


def _http_error(request: Request, error: Exception) -> Response:
    return error_response(error, request.scope["request_id"])


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with connected(), events.bell:
        yield


def application() -> Starlette:
    """Return the application; it connects to the database when it starts."""
    found = surface()
    runner = Runner(found)
    return Starlette(
        routes=[
            *rest.routes(found),
            *graphql_http.routes(runner),
            *websocket.routes(runner),
            *openapi.routes(found),
            *pages.routes(),
        ],
        middleware=[Middleware(RequestId), Middleware(Errors)],
        exception_handlers={HTTPException: _http_error},
        lifespan=_lifespan,
    )
