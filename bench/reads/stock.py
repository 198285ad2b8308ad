"""The same schema by stock resolvers: what is fetched field by field."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth import context_of
from gateway.graphql import Asking, printed, read_request
from models.database import connected
from schema.context import Context
from tests.oracle import Oracle

CONNECTIONS = 8
"""As many as the other servers take; resolvers side by side would open more than are to be had."""

_oracle = Oracle()


async def answered(asked: Asking, context: Context) -> dict[str, Any]:
    """The printed result of a query."""
    found = await _oracle.execute(asked.query, asked.variables, context, asked.operationName)
    return printed(found, context.request_id)


@asynccontextmanager
async def _connected(app: Starlette) -> AsyncIterator[None]:
    async with connected(CONNECTIONS):
        yield


async def _endpoint(request: Request) -> Response:
    request.scope["request_id"] = ""
    context = await context_of(request)
    asked = read_request(await request.body())
    return Response(msgspec.json.encode(await answered(asked, context)), media_type="application/json")


def application() -> Starlette:
    """Return the application; it connects when it starts."""
    return Starlette(routes=[Route("/api/graphql", _endpoint, methods=["POST"])], lifespan=_connected)
