"""JSON Schemas: what an operation takes, read off its input, and what it answers, read off its view."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from gateway.openapi.examples import SAMPLES
from gateway.rest import FOLLOW
from schema.documents.outline import Selection
from schema.surface import Bound

Components = dict[str, Any]
"""Schemas by their names; whatever refers to one puts it there."""

_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "ID": {"type": "string", "format": "uuid"},
    "String": {"type": "string"},
    "Int": {"type": "integer"},
    "BigInt": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "DateTime": {"type": "string", "format": "date-time"},
}


def object_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object that has exactly these properties."""
    return {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}


def component(components: Components, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A reference to a schema, which is put among the components."""
    components[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def _shown(selected: Selection) -> dict[str, Any]:
    """What a selection shows."""
    if selected.scalar is None:
        found = _object_shown(selected)
    elif selected.values:
        found = {"type": "string", "enum": list(selected.values)}
    else:
        found = dict(_SCALARS[selected.scalar])
    for _ in range(selected.lists):
        found = {"type": "array", "items": found}
    return {"anyOf": [found, {"type": "null"}]} if selected.nullable else found


def _object_shown(selected: Selection, **more: Any) -> dict[str, Any]:
    return object_of({key: _shown(child) for key, child in selected.fields if not key.startswith("_")} | more)


def _links(bound: Bound) -> dict[str, Any]:
    """`_links`, as one more property; each link has what its path becomes for the row of the examples."""
    found = {}
    for link in bound.links.links:
        path = link.path
        for column in link.columns:
            owner = bound.answer.singular if bound.answer and column == "id" else column.removesuffix("_id")
            path = re.sub(r"{\w+}", SAMPLES[f"{owner}.id"], path, count=1)
        found[link.name] = {"type": "string", "format": "uri-reference", "examples": [path]}
    for link in bound.links.by_path:
        path = re.sub(r"{\w+}", SAMPLES[f"{bound.entities[0].singular}.id"], link.path, count=1)
        shown = f"wss://dokploy.example.com{path}?{FOLLOW}=true" if link.streams else path
        found[link.name] = {"type": "string", "format": "uri-reference", "examples": [shown]}
    return {"_links": object_of(found)} if found else {}


def answer(bound: Bound, components: Components) -> dict[str, Any] | None:
    """What an operation answers: a row that is read by its id is named after its entity, anything else after the operation's GraphQL field.

    Where the same is shown under another name already, that name is used: a changed row is shown as it is read.
    """
    if bound.view is None:
        return None
    shape, name = bound.view.shape, _name(bound)
    if bound.operation.listing is None:
        return _shared(components, name, _object_shown(shape, **_links(bound)))
    parts = dict(shape.fields)
    item = _shared(components, f"{name.removesuffix('Answer')}Item", _object_shown(parts["data"], **_links(bound)))
    pagination = _shared(components, "Pagination", _shown(parts["pagination"]))
    return _shared(components, name, object_of({"data": {"type": "array", "items": item}, "pagination": pagination}))


def _name(bound: Bound) -> str:
    if bound.answer is not None and bound.operation.verb == "get":
        return bound.answer.title
    name = "".join(f"{part[:1].upper()}{part[1:]}" for part in bound.operation.graphql_name.split("."))
    return f"{name}Answer" if bound.operation.follows is None else f"{name}Item"


def _shared(components: Components, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A reference to a schema, by the name under which the same stands among the components already."""
    return component(components, next((known for known, other in components.items() if other == schema), name), schema)


def body(model: type[BaseModel], components: Components) -> dict[str, Any]:
    """What an operation takes, named after its input."""
    schema = trimmed(model.model_json_schema(ref_template="#/components/schemas/{model}"))
    components |= schema.pop("$defs", {})
    return component(components, model.__name__, schema)


def trimmed(schema: Any) -> Any:
    """Return a schema without pydantic's titles, and without null as the default of what may not be null (PATCH: absent)."""
    if isinstance(schema, list):
        return [trimmed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    if kept.get("default", ...) is None and "anyOf" not in kept:
        del kept["default"]
    return {key: trimmed(value) for key, value in kept.items()}


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its own definitions' names: an enum of a query parameter stands where it is used."""
    definitions = schema.pop("$defs", {})

    def part_of(part: dict[str, Any]) -> dict[str, Any]:
        reference = part.pop("$ref", "").removeprefix("#/$defs/")
        items = {"items": part_of(part["items"])} if "items" in part else {}
        return {**definitions.get(reference, {}), **part, **items}

    return part_of(schema)
