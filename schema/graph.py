"""The GraphQL schema, made of the declared operations: one field for each, its arguments read off the declaration."""

import inspect
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

import strawberry
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.tools import create_type
from tortoise.models import Model

from schema.fields import Entity, Node, list_arguments
from schema.operation import Operation
from schema.page import Page
from schema.scalars import CONFIG

Field = Any


def _bare(annotation: Any) -> Any:
    """The type without the constraints, which the operation checks itself and in its own words."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    return annotation


def output_type(operation: Operation[Any], entities: Mapping[type[Model], Entity]) -> Any:
    """The Strawberry type of an operation's answer."""
    returns = operation.signature.returns
    if operation.listing is not None:
        return Page[operation.chapter.type]  # type: ignore[name-defined]
    if returns is None:
        return bool
    if operation.kind == "subscription":
        item = get_args(returns)[0]
        return AsyncIterator[entities[item].of if item in entities else item]  # type: ignore[misc]
    return entities[returns].of if returns in entities else returns


def _arguments(operation: Operation[Any]) -> dict[str, tuple[Any, Any]]:
    empty = inspect.Parameter.empty
    found: dict[str, tuple[Any, Any]] = {}
    found |= dict.fromkeys(operation.row_arguments, (strawberry.ID, empty))
    if operation.signature.input is not None:
        found["input"] = (operation.signature.input, empty)
    for parameter in operation.signature.parameters:
        found[parameter.name] = (_bare(parameter.annotation), parameter.default)
    if operation.listing is not None:
        found |= {name: (type_ | None, None) for name, type_ in list_arguments(operation.listing).items()}
    return found


def _field(operation: Operation[Any], entities: Mapping[type[Model], Entity]) -> Field:
    async def declared(info: Any, **given: Any) -> Any:
        raise NotImplementedError("the gateway binds the operation when the schema is built")

    kind = inspect.Parameter
    arguments = _arguments(operation)
    parameters = [kind("info", kind.POSITIONAL_OR_KEYWORD, annotation=strawberry.Info)]
    parameters += [kind(name, kind.KEYWORD_ONLY, annotation=type_, default=default) for name, (type_, default) in arguments.items()]
    returns = output_type(operation, entities)
    declared.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    declared.__annotations__ = {"info": strawberry.Info, "return": returns} | {name: type_ for name, (type_, _) in arguments.items()}
    declared.__name__ = operation.graphql_name
    make = strawberry.subscription if operation.kind == "subscription" else strawberry.field
    ends = operation.deprecation.reason if operation.deprecation else None
    field = make(resolver=declared, name=operation.graphql_name, description=operation.summary, deprecation_reason=ends)
    field.python_name = operation.graphql_name
    return field


def _nodes() -> list[Field]:
    """Relay's fields of the root (Relay, "Object Identification")."""

    async def node(id: strawberry.ID) -> Node | None:
        raise NotImplementedError("schema.plan fetches it")

    async def nodes(ids: list[strawberry.ID]) -> list[Node | None]:
        raise NotImplementedError("schema.plan fetches them")

    one, many = "Whatever has this id, as far as one may see it.", "Whatever has these ids, in their order; 100 at most."
    return [strawberry.field(resolver=node, description=one), strawberry.field(resolver=nodes, description=many)]


def graph(operations: Iterable[Operation[Any]], entities: Mapping[type[Model], Entity]) -> strawberry.Schema:
    """The schema of the operations, its fields not yet bound to anything that fetches."""
    fields: dict[str, list[Field]] = {"query": [], "mutation": [], "subscription": []}
    for operation in operations:
        if operation.is_root_field:
            fields[operation.kind].append(_field(operation, entities))
    fields["query"] += _nodes()
    roots = {kind: create_type(kind.title(), found) if found else None for kind, found in fields.items()}
    if roots["query"] is None:
        raise TypeError("a schema needs a query")
    types = [entity.of for entity in entities.values()]
    schema = strawberry.Schema(roots["query"], roots["mutation"], roots["subscription"], types=types, config=CONFIG)
    for type_ in schema._schema.type_map.values():
        type_.description = type_.description or _told(type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF))
    return schema


def _told(definition: Any) -> str | None:
    """What the docstring of a declared type says to clients: its first paragraph, without what is said to readers of the code."""
    declared = getattr(definition, "concrete_of", None) or definition
    origin = getattr(declared, "origin", None) or getattr(declared, "wrapped_cls", None)
    if origin is None or not origin.__doc__:
        return None
    first = inspect.cleandoc(origin.__doc__).partition("\n\n")[0].replace("\n", " ")
    return re.sub(r" \((?:DECISIONS|specification)[^)]*\)", "", first)
