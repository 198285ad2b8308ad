"""GraphQL over HTTP: POST, GET for queries, and GraphiQL for a browser."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth import context_of
from gateway.body import json_body
from gateway.errors import fact
from gateway.graphql import Asking, Runner, problem, read_request, refused
from gateway.pages import graphiql
from models.database import AWAY
from schema.errors import ApiError, InvalidInput, MethodNotAllowed
from schema.plan.document import Refused

_encode = msgspec.json.Encoder().encode


def _requested(request: Request, body: bytes) -> Asking:
    if request.method == "POST":
        return read_request(body)
    query = request.query_params
    try:
        variables = msgspec.json.decode(query.get("variables") or "null", type=dict[str, Any] | None)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput("variables is not a JSON object.") from error
    if "query" not in query:
        raise InvalidInput("The query is missing.")
    return Asking(query["query"], variables, query.get("operationName"))


def _response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(content), status, headers, media_type="application/json")


def routes(runner: Runner) -> list[Route]:
    """The GraphQL endpoint: POST, GET for queries, and GraphiQL for a browser."""

    async def endpoint(request: Request) -> Response:
        if request.method == "GET" and "query" not in request.query_params and "text/html" in request.headers.get("accept", ""):
            return graphiql()
        request_id: str = request.scope["request_id"]
        try:
            context = await context_of(request)
            asked = _requested(request, await json_body(request))
            document = runner.prepared(asked, context)
            if document.kind == "subscription":
                raise InvalidInput("A subscription needs a WebSocket (graphql-transport-ws).")
            if request.method != "POST" and document.kind != "query":
                raise MethodNotAllowed("A mutation must be sent by POST.")
            return _response(await runner.run(document, asked, context))
        except Refused as error:
            return _response({"errors": refused(error.errors, request_id)}, 400)
        except (ApiError, *AWAY) as error:
            found = fact(error, request_id)
            return _response({"errors": [problem(found, request_id)]}, found.status, found.headers)

    return [Route(f"{prefix}/graphql", endpoint, methods=["GET", "POST"]) for prefix in ("/api", "/api/v1")]
