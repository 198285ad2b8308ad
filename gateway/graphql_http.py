"""GraphQL over HTTP: POST, GET for queries, and GraphiQL for a browser."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import count
from gateway.body import json_body
from gateway.errors import GRAPHQL
from gateway.graphql import Asking, Runner, read_request, refused
from gateway.idempotency import once
from gateway.pages import graphiql
from schema.context import Context
from schema.errors import Conflict, InvalidInput, MethodNotAllowed, ServiceUnavailable, UnprocessableEntity
from schema.plan.document import Refused


class SentByGet(MethodNotAllowed):
    """A mutation must be sent by POST."""

    headers = MappingProxyType({"Allow": "POST"})


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


def _answered(result: dict[str, Any], context: Context) -> Response:
    """A result; where nothing was done because what it needs is away, with the status that says so."""
    if not context.changed and any(error["extensions"]["code"] == ServiceUnavailable.code for error in result.get("errors", ())):
        return _response(result, ServiceUnavailable.status, ServiceUnavailable.headers)
    return _response(result)


def _is_kept(result: dict[str, Any], context: Context) -> bool:
    """Whether a result is an answer to keep: something was done, or whatever was refused was refused as things stand."""
    codes = {error["extensions"]["code"] for error in result.get("errors", ())}
    return context.changed or codes <= {Conflict.code, UnprocessableEntity.code}


def routes(runner: Runner) -> list[Route]:
    """The GraphQL endpoint: POST, GET for queries, and GraphiQL for a browser."""

    async def endpoint(request: Request) -> Response:
        if request.method == "GET" and "query" not in request.query_params and "text/html" in request.headers.get("accept", ""):
            return graphiql()
        context: Context = request.scope["context"]
        body = await json_body(request)
        asked = _requested(request, body)
        known = runner.knows(asked)
        try:
            document = runner.prepared(asked, context)
            if document.kind == "subscription":
                raise InvalidInput("A subscription needs a WebSocket (graphql-transport-ws).")
            if request.method != "POST" and document.kind != "query":
                raise SentByGet
            if (further := runner.cost(document, known=known) - 1) > 0:
                await count(request.scope, context, further)

            async def run() -> tuple[Response, bool]:
                result = await runner.run(document, asked, context)
                return _answered(result, context), _is_kept(result, context)

            return await once(request, context, body, run) if runner.repeatable(document) else (await run())[0]
        except Refused as error:
            return _response({"errors": refused(error.errors, context.request_id)}, 400)

    return [Route(path, endpoint, methods=["GET", "POST"]) for path in GRAPHQL]
