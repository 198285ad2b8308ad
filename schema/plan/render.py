"""Rendering by graphql-core's own executor: a view is a document over one value, run by the same resolvers as a client's."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    execute,
    parse,
    validate,
)

from schema.context import Context
from schema.fields import WrongDeclaration
from schema.plan.outline import Selection, selection


@dataclass(frozen=True)
class View:
    """A compiled view: how it renders a value, and the shape of what comes out."""

    render: Callable[[Any, Context], Awaitable[Any]]
    shape: Selection


def answer_type(schema: GraphQLSchema, kind: str, field: str) -> GraphQLOutputType:
    """Return the type of a root field; `kind` is `query`, `mutation` or `subscription`."""
    root = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}[kind]
    if root is None:
        raise WrongDeclaration(f"{field}: there is no {kind} type")
    found: GraphQLOutputType = root.fields[field].type
    return found


def compiled(name: str, type_: GraphQLOutputType, view: str) -> View:
    """Return the view of an operation over its output type.

    Raises `WrongDeclaration` when the view selects what the type does not have.
    """
    root = GraphQLObjectType("View", {"value": GraphQLField(type_, resolve=lambda root, info: root)})
    schema = GraphQLSchema(query=root)
    try:
        document = parse(f"{{ value {{ {view} }} }}")
    except GraphQLSyntaxError as error:
        raise WrongDeclaration(f"{name}: {error.message}") from error
    if errors := validate(schema, document):
        raise WrongDeclaration(f"{name}: {errors[0].message}")

    async def render(value: Any, context: Context) -> Any:
        result = execute(schema, document, root_value=value, context_value=context)
        if isawaitable(result):
            result = await result
        if not isinstance(result, ExecutionResult):
            raise TypeError(f"{name}: the view did not give one result")
        if result.errors:
            raise result.errors[0].original_error or result.errors[0]
        return (result.data or {})["value"]

    definition = document.definitions[0]
    if not isinstance(definition, OperationDefinitionNode) or not isinstance(definition.selection_set.selections[0], FieldNode):
        raise WrongDeclaration(f"{name}: the view is no selection")
    return View(render, selection(type_, definition.selection_set.selections[0].selection_set))
