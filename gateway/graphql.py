"""GraphQL: the declared operations bound to the schema's root fields, and documents run against them (DECISIONS 11)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    subscribe,
    validate,
)

from gateway.errors import extensions, fact
from schema.access import Role
from schema.context import Context
from schema.errors import InvalidInput
from schema.inputs import checked, validated
from schema.names import api_name
from schema.page import relay_window
from schema.perform import Ask, Asked, admit, perform
from schema.plan.resolve import Part, filters_given
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
    sort = given.get("sort")
    part = Part(
        relay_window(given.get("first"), given.get("after"), given.get("last"), given.get("before")),
        filters_given(listing, given),
        given.get("search"),
        sort.value if sort is not None else None,
        given.get("order"),
    )
    return Asked(input, arguments, part)


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


def _node(surface: Surface) -> Any:
    async def resolve(root: Any, info: GraphQLResolveInfo[Context], id: str) -> Any:
        info.context.require(Role.member)
        return await info.context.anything(surface.entities, id)

    return resolve


def bind(surface: Surface) -> GraphQLSchema:
    """Give the root fields of the surface's schema their resolvers."""
    schema: GraphQLSchema = surface.schema._schema
    roots = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    if schema.query_type is not None:
        schema.query_type.fields["node"].resolve = _node(surface)
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


def _printed(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """Return an error as the protocol prints it, with the API's code."""
    cause = error.original_error
    if cause is not None and not isinstance(cause, GraphQLError):
        found = fact(cause, request_id)
        return {**error.formatted, "message": found.message, "extensions": extensions(found, request_id)}
    code = error.extensions.get("code") if error.extensions else None
    return {**error.formatted, "extensions": {"code": code or "VALIDATION_ERROR", "details": {}, "requestId": request_id}}


def printed(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """Return a result as the protocol prints it, each error with the API's code."""
    errors = {"errors": [_printed(error, request_id) for error in result.errors]} if result.errors else {}
    return {**errors, "data": result.data}


@dataclass(frozen=True)
class Document:
    """A document that may be run, and the operation of it that was asked for."""

    tree: DocumentNode
    kind: str
    """`query`, `mutation` or `subscription`."""
    request: Asking

    def arguments(self, context: Context) -> dict[str, Any]:
        """What graphql-core is called with."""
        return {
            "document": self.tree,
            "context_value": context,
            "variable_values": self.request.variables,
            "operation_name": self.request.operationName,
            "hide_suggestions": True,
        }


class Refused(Exception):
    """The document cannot be run; carries the errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors

    def printed(self, request_id: str) -> list[dict[str, Any]]:
        """Return the errors as the protocol prints them."""
        return [_printed(error, request_id) for error in self.errors]


def _refusal(message: str, code: str) -> Refused:
    return Refused([GraphQLError(message, extensions={"code": code})])


class Runner:
    """Runs documents against the surface."""

    def __init__(self, surface: Surface) -> None:
        self._schema = bind(surface)

    def prepared(self, request: Asking, context: Context) -> Document:
        """Return the document of a request, parsed and validated for this caller. Raises `Refused` when it cannot be run."""
        try:
            tree = parse(request.query, max_tokens=MOST_TOKENS)
        except GraphQLError as error:
            raise _refusal(error.message, "INVALID_INPUT") from error
        rules = [*specified_rules, *([NoSchemaIntrospectionCustomRule] if context.user is None else [])]
        if errors := validate(self._schema, tree, rules, max_errors=MOST_PROBLEMS, hide_suggestions=True):
            raise Refused(errors)
        operation = get_operation_ast(tree, request.operationName)
        if operation is None:
            raise _refusal("Say with operationName which of the document's operations to run.", "INVALID_INPUT")
        return Document(tree, str(operation.operation.value), request)

    async def run(self, document: Document, context: Context) -> dict[str, Any]:
        """Return the printed result of a query or mutation."""
        result = execute(self._schema, **document.arguments(context))
        if isawaitable(result):
            result = await result
        return printed(result, context.request_id)

    async def results(self, request: Asking, context: Context) -> AsyncIterator[dict[str, Any]]:
        """Yield the printed results of any document: one, or a subscription's as they come. Raises `Refused`."""
        document = self.prepared(request, context)
        if document.kind != "subscription":
            yield await self.run(document, context)
            return
        source = subscribe(self._schema, **document.arguments(context))
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Refused(list(source.errors or ()))
        async for result in source:
            yield printed(result, context.request_id)
