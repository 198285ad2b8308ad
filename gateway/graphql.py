"""GraphQL: documents run by the plan, operations called for the fields that are more than reading (DECISIONS 11)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from graphql import ExecutionResult, GraphQLError

from gateway import metrics
from gateway.errors import extensions, fact
from models.settings import settings
from schema.context import Context
from schema.documents.extent import parsed
from schema.documents.public import is_public, words_of
from schema.documents.refused import Refused, refusal
from schema.errors import InvalidInput, Unauthorized
from schema.inputs import checked, validated
from schema.names import api_name
from schema.operation import Operation
from schema.perform import Ask, Asked, admit, perform
from schema.plan.complete import attach, completed
from schema.plan.document import Document
from schema.plan.execute import Answer, Engine
from schema.surface import Surface

MANY = 2_000
"""So many values graphql-core completes in some milliseconds; where there are more, others are served meanwhile."""

_encode = msgspec.json.Encoder().encode
_thread = ThreadPoolExecutor(1, "graphql")
"""One, so that many such answers leave the rest of the processor's time to others."""


class Asking(msgspec.Struct, forbid_unknown_fields=False):
    """A GraphQL request as clients send it, by its text or by the name of a persisted document."""

    query: str = ""
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 (the protocol's name)
    extensions: dict[str, Any] | None = None
    documentId: str | None = None  # noqa: N815


def read_request(body: bytes) -> Asking:
    """Return the request in a JSON body. Raises `InvalidInput`."""
    try:
        return msgspec.json.decode(body, type=Asking)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("The body is not a GraphQL request.") from error


def asked(operation: Operation[Any], given: dict[str, Any]) -> Asked:
    """Return what the arguments of a root field say beside the ids. Raises `ValidationFailed`."""
    signature = operation.signature
    input = validated(signature.input, given["input"]) if signature.input is not None else None
    names = {api_name(each.name): each for each in signature.parameters}
    arguments = {names[name].name: checked(names[name].annotation, name, value) for name, value in given.items() if name in names}
    return Asked(input, arguments)


def _printed(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """Return an error as the protocol prints it, with the API's code."""
    cause = error.original_error
    if cause is not None and not isinstance(cause, GraphQLError):
        found = fact(cause, request_id)
        return {**error.formatted, "message": found.message, "extensions": extensions(found, request_id)}
    given = error.extensions or {}
    code, details = given.get("code", "VALIDATION_ERROR"), given.get("details", {})
    return {**error.formatted, "extensions": {"code": code, "details": details, "requestId": request_id}}


def printed(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """Return a result as the protocol prints it, each error with the API's code."""
    errors = {"errors": [_printed(error, request_id) for error in result.errors]} if result.errors else {}
    return {**errors, "data": result.data}


def refused(errors: list[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Return the errors of a document that was not run as the protocol prints them."""
    return [_printed(_worded(error), request_id) for error in errors]


def _worded(error: GraphQLError) -> GraphQLError:
    """An error about a value in our own words: what Python says of it is nobody's business."""
    if error.original_error is None or isinstance(error.original_error, GraphQLError):
        return error
    return GraphQLError(error.message.partition(", but encountered error")[0], error.nodes, path=error.path)


def _nobody() -> Refused:
    """The one answer to whoever is not logged in and asks for more than logging in, whether it is there or not."""
    words = "Authentication is required to ask for this, and to be told what is wrong with a document."
    return refusal(words, Unauthorized.code)


class Runner:
    """Runs documents against the surface."""

    def __init__(self, surface: Surface) -> None:
        self._public = words_of(bound.operation for bound in surface.operations)
        self._bound = {bound.operation.id: bound for bound in surface.operations}
        self._slow = {bound.operation.graphql_name for bound in surface.operations if not bound.operation.atomic}
        self._engine = Engine(surface.catalog, self._perform)
        attach(surface.catalog.schema)

    def cost(self, document: Document, *, known: bool) -> int:
        """How many requests a document counts as: one for each root field, and one for reading a new document."""
        return len(document.roots) + (not known)

    def repeatable(self, document: Document) -> bool:
        """Whether a document takes an Idempotency-Key: a mutation without logins and passwords."""
        return document.kind == "mutation" and all(name not in self._slow for name in document.roots)

    def knows(self, request: Asking) -> bool:
        """Whether the document of a request was read before."""
        return self._engine.knows(request.query, request.operationName)

    def prepared(self, request: Asking, context: Context) -> Document:
        """Return the document of a request for this caller. Raises `Refused` when it cannot be run."""
        if context.user is not None:
            return self._engine.document(request.query, request.operationName)
        if not is_public(parsed(request.query, settings().graphql_limits), self._public):
            raise _nobody()
        try:
            return self._engine.document(request.query, request.operationName)
        except Refused as error:
            raise _nobody() from error

    async def run(self, document: Document, request: Asking, context: Context) -> dict[str, Any]:
        """Return the printed result of a query or mutation. Raises `Refused`, and `ApiError` when nothing was run."""
        answer = await self._engine.run(document, request.variables or {}, context)
        return await self._result(document, request, answer, context)

    def results(self, document: Document, request: Asking, context: Context) -> AsyncGenerator[dict[str, Any] | msgspec.Raw]:
        """The printed results of any document: one, or a subscription's, encoded, as they come. Raises `Refused`."""
        if document.kind != "subscription":
            return self._once(document, request, context)

        async def encode(answer: Answer) -> bytes:
            return _encode(await self._result(document, request, answer, context))

        return self._engine.stream(document, request.variables or {}, context, self._follow, encode)

    async def _once(self, document: Document, request: Asking, context: Context) -> AsyncGenerator[dict[str, Any] | msgspec.Raw]:
        yield await self.run(document, request, context)

    async def _result(self, document: Document, request: Asking, answer: Answer, context: Context) -> dict[str, Any]:
        if not answer.trouble and not answer.introspects:
            metrics.planned.inc()
            return {"data": answer.data}
        metrics.completed.labels("error" if answer.trouble else "introspection").inc()
        given = self._engine.catalog.schema, document, request.variables or {}, answer
        beside = asyncio.get_running_loop().run_in_executor
        found = completed(*given) if answer.values < MANY else await beside(_thread, completed, *given)
        return printed(found, context.request_id)

    async def _perform(self, operation: Operation[Any], context: Context, given: dict[str, Any]) -> Any:
        ids = tuple(given[name] for name in operation.row_arguments)
        value = await perform(self._bound[operation.id], context, Ask(ids, lambda: asked(operation, given)))
        return True if operation.signature.returns is None else value

    async def _follow(self, operation: Operation[Any], context: Context, given: dict[str, Any]) -> AsyncIterator[Any]:
        if operation.handler is None:
            raise TypeError(f"{operation.id} is not a stream")
        ids = tuple(given[name] for name in operation.row_arguments)
        rows = await admit(self._bound[operation.id], context, ids)
        stream: AsyncIterator[Any] = operation.handler(context, *rows, **asked(operation, given).arguments)
        return stream
