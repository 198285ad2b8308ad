"""GraphQL over HTTP: POST, GET for queries, and GraphiQL for a browser."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.body import json_body
from gateway.errors import GRAPHQL, problem
from gateway.graphql import Asking, Runner, read_request, refused
from gateway.graphql_answers import FOLLOWING, ONCE, chosen, chosen_for_any, following, refusal, result, shaped
from gateway.graphql_stream import Streams, token_of
from gateway.idempotency import once
from gateway.negotiation import accepted
from gateway.pages import graphiql
from gateway.reader import Reader
from schema.context import Context
from schema.documents.refused import Refused
from schema.errors import Conflict, InvalidInput, MethodNotAllowed, ServiceUnavailable, UnprocessableEntity
from schema.plan.document import Document


class SentByGet(MethodNotAllowed):
    """A mutation must be sent by POST."""

    headers = MappingProxyType({"Allow": "POST"})


_NAMES = ("query", "extensions", "documentId")
"""Of these parameters one says what a GET asks for."""


def _requested(request: Request, body: bytes) -> Asking:
    if request.method == "POST":
        return read_request(body)
    given = request.query_params
    variables, extensions = (_object(given, name) for name in ("variables", "extensions"))
    return Asking(given.get("query", ""), variables, given.get("operationName"), extensions, given.get("documentId"))


def _object(given: QueryParams, name: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(given.get(name) or "null", type=dict[str, Any] | None)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(f"{name} is not a JSON object.") from error


def _answered(content: dict[str, Any], context: Context) -> Response:
    """A result; where nothing was done because what it needs is away, with the status that says so."""
    away = not context.changed and any(error["extensions"]["code"] == ServiceUnavailable.code for error in content.get("errors", ()))
    return result(content, ServiceUnavailable if away else None)


def _is_kept(result: dict[str, Any], context: Context) -> bool:
    """Whether a result is an answer to keep: something was done, or whatever was refused was refused as things stand."""
    codes = {error["extensions"]["code"] for error in result.get("errors", ())}
    return context.changed or codes <= {Conflict.code, UnprocessableEntity.code}


class Endpoint:
    """The GraphQL endpoint over HTTP."""

    def __init__(self, runner: Runner, reader: Reader, streams: Streams) -> None:
        self._runner, self._reader, self._streams = runner, reader, streams

    async def get(self, request: Request) -> Response:
        """A query, a stream that was reserved, or GraphiQL for a browser."""
        if request.query_params.keys().isdisjoint(_NAMES):
            if stream := token_of(request):
                return await self._streams.opened(stream, request.scope["context"])
            if "text/html" in accepted(request.headers):
                return graphiql()
        return await self.answer(request)

    async def answer(self, request: Request) -> Response:
        """The answer to a document, or that it will come over a stream."""
        accept, context, stream = accepted(request.headers), request.scope["context"], token_of(request)
        body = await json_body(request)
        try:
            document, asked = await self._reader.read(request.scope, _requested(request, body), context)
        except Refused as error:
            return refusal(refused(error.errors, context.request_id), accept, chosen_for_any(accept))
        if request.method != "POST" and document.kind == "mutation":
            raise SentByGet
        if stream is not None:
            if "idempotency-key" in request.headers:
                raise InvalidInput("What comes over a stream is not kept: there can be no Idempotency-Key.")
            await self._streams.ask(stream, asked, context)
            return Response(status_code=202)
        if document.kind == "subscription":
            return following(_told(self._runner, document, asked, context), chosen(accept, FOLLOWING))
        media_type = chosen(accept, ONCE)
        try:
            return shaped(await self._result(request, body, document, asked), media_type)
        except Refused as error:
            return refusal(refused(error.errors, context.request_id), accept, media_type)

    async def _result(self, request: Request, body: bytes, document: Document, asked: Asking) -> Response:
        context: Context = request.scope["context"]

        async def run() -> tuple[Response, bool]:
            content = await self._runner.run(document, asked, context)
            return _answered(content, context), _is_kept(content, context)

        return await once(request, context, body, run) if self._runner.repeatable(document) else (await run())[0]


def routes(runner: Runner, reader: Reader, streams: Streams) -> list[Route]:
    """The GraphQL endpoint: POST, and GET for queries."""
    endpoint = Endpoint(runner, reader, streams)
    methods = (("GET", endpoint.get), ("POST", endpoint.answer))
    return [Route(path, each, methods=[method]) for path in GRAPHQL for method, each in methods]


async def _told(runner: Runner, document: Document, asked: Asking, context: Context) -> AsyncGenerator[dict[str, Any] | msgspec.Raw]:
    """The results of a subscription, and what ends it."""
    try:
        async with aclosing(runner.results(document, asked, context)) as results:
            async for each in results:
                yield each
    except Refused as error:
        yield {"errors": refused(error.errors, context.request_id)}
    except Exception as error:
        yield {"errors": [problem(error, context.request_id)]}
