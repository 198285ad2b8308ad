"""GraphQL: the declared operations bound to the schema's root fields, documents run, and answered over HTTP (DECISIONS 11)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any
from uuid import UUID

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    subscribe,
    validate,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth import context_of
from gateway.body import json_body
from gateway.errors import extensions, fact
from gateway.pages import graphiql
from schema.context import Context
from schema.errors import InvalidInput, MethodNotAllowed
from schema.inputs import checked, parameter, validated
from schema.names import api_name
from schema.page import relay_window
from schema.perform import Ask, Asked, admit, perform
from schema.surface import Bound, Surface

MOST_TOKENS = 5_000
MOST_PROBLEMS = 20


class Asking(msgspec.Struct, forbid_unknown_fields=False):
    """A GraphQL request as clients send it."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 (the protocol's name)


def read_request(body: bytes) -> Asking:
    """Return the request in a JSON body. Raises `InvalidInput`."""
    try:
        return msgspec.json.decode(body, type=Asking)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("The body is not a GraphQL request.") from error


def _asked(bound: Bound, given: dict[str, Any]) -> Asked:
    operation = bound.operation
    signature, listing = operation.signature, operation.listing
    input = validated(signature.input, given["input"]) if signature.input is not None else None
    names = {api_name(each.name): each for each in signature.parameters}
    arguments = {names[name].name: checked(names[name].annotation, name, value) for name, value in given.items() if name in names}
    if listing is None:
        return Asked(input, arguments)
    filters = {column: given[api_name(column)] for column in listing.filters if given.get(api_name(column)) is not None}
    for column, type_ in listing.filters.items():
        if type_ is UUID and column in filters:
            filters[column] = parameter(UUID, api_name(column), filters[column])
    sort = given.get("sort")
    return Asked(
        input,
        arguments,
        filters=filters,
        window=relay_window(given.get("first"), given.get("after"), given.get("last"), given.get("before")),
        search=checked(str, "search", given.get("search") or ""),
        sort=sort.value if sort is not None else None,
        order=given.get("order"),
    )


def _resolver(bound: Bound) -> Any:
    async def resolve(root: Any, info: GraphQLResolveInfo[Context], **given: Any) -> Any:
        ids = (given[bound.operation.row_argument],) if bound.operation.signature.rows else ()
        value = await perform(bound.operation, info.context, bound.entity, Ask(ids, lambda: _asked(bound, given)))
        return True if bound.operation.signature.returns is None and bound.operation.handler else value

    return resolve


def _subscriber(bound: Bound) -> Any:
    async def source(root: Any, info: GraphQLResolveInfo[Context], **given: Any) -> AsyncIterator[Any]:
        operation = bound.operation
        if operation.handler is None:
            raise TypeError(f"{operation.id} is not a stream")
        ids = (given[operation.row_argument],) if operation.signature.rows else ()
        rows = await admit(operation, info.context, bound.entity, ids)
        stream: AsyncIterator[Any] = operation.handler(info.context, *rows, **_asked(bound, given).arguments)
        return stream

    return source


def bind(surface: Surface) -> GraphQLSchema:
    """Give the root fields of the surface's schema their resolvers."""
    schema = surface.core
    roots = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    for bound in surface.operations:
        root = roots[bound.operation.kind]
        if root is None:
            continue
        field = root.fields[bound.operation.graphql_name]
        if bound.operation.kind == "subscription":
            field.subscribe = _subscriber(bound)
            field.resolve = lambda root, info, **given: root
        else:
            field.resolve = _resolver(bound)
    return schema


def printed_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """Return an error as the protocol prints it, with the API's code."""
    cause = error.original_error
    if cause is not None and not isinstance(cause, GraphQLError):
        found = fact(cause, request_id)
        return {**error.formatted, "message": found.message, "extensions": extensions(found, request_id)}
    code = error.extensions.get("code") if error.extensions else None
    return {**error.formatted, "extensions": {"code": code or "VALIDATION_ERROR", "details": {}, "requestId": request_id}}


def printed(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """Return a result as the protocol prints it, each error with the API's code."""
    errors = {"errors": [printed_error(error, request_id) for error in result.errors]} if result.errors else {}
    return {**errors, "data": result.data}


@dataclass(frozen=True)
class Document:
    """A document that may be run, and the operation of it that was asked for."""

    tree: DocumentNode
    operation: OperationDefinitionNode
    request: Asking


class Refused(Exception):
    """The document cannot be run; carries the errors to print."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


def _refusal(message: str, code: str) -> Refused:
    return Refused([GraphQLError(message, extensions={"code": code})])


def prepared(schema: GraphQLSchema, request: Asking, context: Context) -> Document:
    """Return the document of a request, parsed and validated for this caller.

    Raises `Refused` when it cannot be run.
    """
    try:
        tree = parse(request.query, max_tokens=MOST_TOKENS)
    except GraphQLError as error:
        raise Refused(
            [GraphQLError(error.message, source=error.source, positions=error.positions, extensions={"code": "INVALID_INPUT"})]
        ) from error
    rules = [*specified_rules, *([NoSchemaIntrospectionCustomRule] if context.user is None else [])]
    if errors := validate(schema, tree, rules, max_errors=MOST_PROBLEMS, hide_suggestions=True):
        raise Refused(errors)
    operation = get_operation_ast(tree, request.operationName)
    if operation is None:
        raise _refusal("Say with operationName which of the document's operations to run.", "INVALID_INPUT")
    return Document(tree, operation, request)


async def run(schema: GraphQLSchema, document: Document, context: Context) -> dict[str, Any]:
    """Return the printed result of a query or mutation."""
    request = document.request
    result = execute(
        schema,
        document.tree,
        context_value=context,
        variable_values=request.variables,
        operation_name=request.operationName,
        hide_suggestions=True,
    )
    if isawaitable(result):
        result = await result
    return printed(result, context.request_id)


async def start(schema: GraphQLSchema, document: Document, context: Context) -> AsyncIterator[ExecutionResult] | ExecutionResult:
    """Return the results of a subscription as they come, or the one that says why there are none."""
    request = document.request
    result = subscribe(
        schema,
        document.tree,
        context_value=context,
        variable_values=request.variables,
        operation_name=request.operationName,
        hide_suggestions=True,
    )
    return await result if isawaitable(result) else result


def _requested(request: Request, body: bytes) -> Asking:
    if request.method == "POST":
        return read_request(body)
    query = request.query_params
    try:
        variables = msgspec.json.decode(query.get("variables") or "null", type=dict[str, Any] | None)
    except msgspec.MsgspecError as error:
        raise InvalidInput("variables is not a JSON object.") from error
    if "query" not in query:
        raise InvalidInput("The query is missing.")
    return Asking(query["query"], variables, query.get("operationName"))


def routes(schema: GraphQLSchema) -> list[Route]:
    """The GraphQL endpoint: POST, GET for queries, and GraphiQL for a browser."""

    async def endpoint(request: Request) -> Response:
        if request.method == "GET" and "query" not in request.query_params and "text/html" in request.headers.get("accept", ""):
            return graphiql()
        context = await context_of(request)
        asked = _requested(request, await json_body(request))
        try:
            document = prepared(schema, asked, context)
        except Refused as refused:
            body = {"errors": [printed_error(error, context.request_id) for error in refused.errors]}
            return Response(msgspec.json.encode(body), 400, media_type="application/json")
        kind = document.operation.operation
        if kind is OperationType.SUBSCRIPTION:
            raise InvalidInput("A subscription needs a WebSocket (graphql-transport-ws).")
        if request.method != "POST" and kind is not OperationType.QUERY:
            raise MethodNotAllowed("A mutation must be sent by POST.")
        return Response(msgspec.json.encode(await run(schema, document, context)), media_type="application/json")

    return [Route(f"{prefix}/graphql", endpoint, methods=["GET", "POST"]) for prefix in ("/api", "/api/v1")]
