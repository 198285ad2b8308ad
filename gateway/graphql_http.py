"""GraphQL over HTTP: POST, GET for queries, and GraphiQL for a browser."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import count
from gateway.body import json_body
from gateway.errors import GRAPHQL, problem
from gateway.graphql import Asking, Runner, read_request, refused
from gateway.graphql_answers import FOLLOWING, ONCE, chosen, chosen_for_any, following, refusal, result, shaped
from gateway.idempotency import once
from gateway.negotiation import accepted
from gateway.pages import graphiql
from schema.context import Context
from schema.errors import Conflict, InvalidInput, MethodNotAllowed, ServiceUnavailable, UnprocessableEntity
from schema.plan.document import Document, Refused


class SentByGet(MethodNotAllowed):
    """A mutation must be sent by POST."""

    headers = MappingProxyType({"Allow": "POST"})


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


def _answered(content: dict[str, Any], context: Context) -> Response:
    """A result; where nothing was done because what it needs is away, with the status that says so."""
    away = not context.changed and any(error["extensions"]["code"] == ServiceUnavailable.code for error in content.get("errors", ()))
    return result(content, ServiceUnavailable if away else None)


def _is_kept(result: dict[str, Any], context: Context) -> bool:
    """Whether a result is an answer to keep: something was done, or whatever was refused was refused as things stand."""
    codes = {error["extensions"]["code"] for error in result.get("errors", ())}
    return context.changed or codes <= {Conflict.code, UnprocessableEntity.code}


def routes(runner: Runner) -> list[Route]:
    """The GraphQL endpoint: POST, GET for queries, and GraphiQL for a browser."""

    async def endpoint(request: Request) -> Response:
        accept = accepted(request.headers)
        if request.method == "GET" and "query" not in request.query_params and "text/html" in accept:
            return graphiql()
        context: Context = request.scope["context"]
        body = await json_body(request)
        asked = _requested(request, body)
        known = runner.knows(asked)
        try:
            document = runner.prepared(asked, context)
        except Refused as error:
            return refusal(refused(error.errors, context.request_id), accept, chosen_for_any(accept))
        if request.method != "POST" and document.kind == "mutation":
            raise SentByGet
        media_type = chosen(accept, FOLLOWING if document.kind == "subscription" else ONCE)
        if (further := runner.cost(document, known=known) - 1) > 0:
            await count(request.scope, context, further)
        if document.kind == "subscription":
            return following(_told(runner, document, asked, context), media_type)

        async def run() -> tuple[Response, bool]:
            content = await runner.run(document, asked, context)
            return _answered(content, context), _is_kept(content, context)

        try:
            answer = await once(request, context, body, run) if runner.repeatable(document) else (await run())[0]
        except Refused as error:
            return refusal(refused(error.errors, context.request_id), accept, media_type)
        return shaped(answer, media_type)

    return [Route(path, endpoint, methods=["GET", "POST"]) for path in GRAPHQL]


async def _told(runner: Runner, document: Document, asked: Asking, context: Context) -> AsyncGenerator[dict[str, Any]]:
    """The results of a subscription, and what ends it."""
    try:
        async with aclosing(runner.results(document, asked, context)) as results:
            async for each in results:
                yield each
    except Refused as error:
        yield {"errors": refused(error.errors, context.request_id)}
    except Exception as error:
        yield {"errors": [problem(error, context.request_id)]}
