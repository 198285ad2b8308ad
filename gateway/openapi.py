"""The OpenAPI 3.1 document, read off the declared operations: inputs, views, links, errors."""

import functools
import re
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.rest import paths, query_types
from schema import errors
from schema.access import Role
from schema.names import api_name
from schema.operation import Operation
from schema.page import DEFAULT_SIZE
from schema.plan.outline import Selection
from schema.surface import PREFIX, Bound, Surface, surface

_SCALARS: dict[str, dict[str, Any]] = {
    "ID": {"type": "string", "format": "uuid"},
    "String": {"type": "string"},
    "Int": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "DateTime": {"type": "string", "format": "date-time"},
}
_ALWAYS = (errors.InternalServerError, errors.ServiceUnavailable)


def _object(properties: Mapping[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _schema(selected: Selection, links: dict[str, Any] | None = None, *, item: bool = True) -> dict[str, Any]:
    """Return the JSON Schema of a view; `links` belong to it, or to the items of its `data`."""
    if selected.scalar is not None:
        found: dict[str, Any] = {"type": "string", "enum": list(selected.values)} if selected.values else dict(_SCALARS[selected.scalar])
    else:
        found = _object(
            {
                key: _schema(child, links if not item and key == "data" else None)
                for key, child in selected.fields
                if not key.startswith("_")
            }
        )
        if links and item:
            found["properties"]["_links"] = links
            found["required"].append("_links")
    for _ in range(selected.lists):
        found = {"type": "array", "items": found}
    if selected.nullable:
        return {"anyOf": [found, {"type": "null"}]}
    return found


def _links(bound: Bound) -> dict[str, Any] | None:
    names = [link.name for link in bound.links.links]
    return _object({name: {"type": "string", "format": "uri-reference"} for name in names}) if names else None


def _parameters(operation: Operation[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", operation.path)
    ]
    required = {api_name(each.name) for each in operation.signature.parameters if each.required}
    defaults = {api_name(each.name): each.default for each in operation.signature.parameters if not each.required}
    for name, type_ in query_types(operation).items():
        schema = TypeAdapter(type_).json_schema()
        if name == "sort" and operation.listing is not None:
            schema = {"type": "string", "enum": [api_name(column) for column in operation.listing.sort]}
        if name == "limit" and operation.listing is not None:
            schema["default"] = DEFAULT_SIZE
        if name in defaults:
            schema["default"] = defaults[name]
        found.append({"name": name, "in": "query", "required": name in required, "schema": _trimmed(_inlined(schema))})
    return found


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its own definitions' names: an enum of a query parameter stands where it is used."""
    definitions = schema.pop("$defs", {})

    def inlined(part: dict[str, Any]) -> dict[str, Any]:
        reference = part.pop("$ref", "").removeprefix("#/$defs/")
        items = {"items": inlined(part["items"])} if "items" in part else {}
        return {**definitions.get(reference, {}), **part, **items}

    return inlined(schema)


def _trimmed(schema: Any) -> Any:
    """Return a schema without pydantic's titles, and without null as the default of what may not be null (PATCH: absent)."""
    if isinstance(schema, list):
        return [_trimmed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    if kept.get("default", ...) is None and "anyOf" not in kept:
        del kept["default"]
    return {key: _trimmed(value) for key, value in kept.items()}


def _input(operation: Operation[Any], components: dict[str, Any]) -> dict[str, Any] | None:
    model = operation.signature.input
    if model is None:
        return None
    schema = _trimmed(model.model_json_schema(ref_template="#/components/schemas/{model}"))
    components |= schema.pop("$defs", {})
    components[model.__name__] = schema
    return {
        "required": bool(schema.get("required")),
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
    }


def _failures(operation: Operation[Any]) -> list[type[errors.ApiError]]:
    found: list[type[errors.ApiError]] = [errors.ValidationFailed]
    if operation.needs is not Role.anonymous or operation.id == "auth.login":
        found.append(errors.Unauthorized)
    if operation.needs >= Role.viewer or operation.method not in ("GET", "STREAM"):
        found.append(errors.Forbidden)
    if operation.signature.rows:
        found.append(errors.NotFound)
    if operation.method not in ("GET", "STREAM"):
        found += [errors.Conflict, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.UnprocessableEntity]
    return [*found, *_ALWAYS]


def _responses(bound: Bound) -> dict[str, Any]:
    operation = bound.operation
    success: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if bound.view is not None:
        schema = _schema(bound.view.shape, _links(bound), item=operation.listing is None)
        streams = operation.kind == "subscription"
        success["content"] = {"text/event-stream": {"schema": _event(schema)}} if streams else {"application/json": {"schema": schema}}
    failed = {str(each.status): {"description": HTTPStatus(each.status).phrase, "content": _ERROR_CONTENT} for each in _failures(operation)}
    return {str(operation.status): success, **failed}


def _event(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of each event of a stream: what it tells is the JSON in its `data`."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    return _object({"event": {"const": "message"}, "data": data}, required=["data"])


_ERROR_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_ERROR = _object(
    {
        "error": _object(
            {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "object"},
                "timestamp": {"type": "string", "format": "date-time"},
                "requestId": {"type": "string"},
            }
        )
    }
)


def _operation(bound: Bound, components: dict[str, Any]) -> dict[str, Any]:
    operation = bound.operation
    summary, _, more = operation.summary.partition("\n")
    found: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.chapter.plural],
        "summary": summary.rstrip("."),
        "description": more.strip() or summary,
        "parameters": _parameters(operation),
        "responses": _responses(bound),
        "security": [] if operation.needs is Role.anonymous else [{"bearer": []}],
    }
    if body := _input(operation, components):
        found["requestBody"] = body
    return found


def document(found: Surface) -> dict[str, Any]:
    """Return the whole document."""
    components: dict[str, Any] = {"Error": _ERROR}
    described = {
        PREFIX + path: {method.lower(): _operation(bound, components) for method, bound in by_method.items()}
        for path, by_method in paths(found.operations).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dokploy API",
            "version": version("dokploy"),
            "description": "From a git repository to running, health-checked, observable containers.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(bound.operation.chapter.plural for bound in found.operations)],
        "paths": described,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


@functools.cache
def _encoded() -> bytes:
    return msgspec.json.encode(document(surface()))


def routes(found: Surface) -> list[Route]:
    """`/api/openapi.json`, also under `/api/v1`."""

    async def endpoint(request: Request) -> Response:
        return Response(_encoded(), media_type="application/json")

    return [Route(f"{prefix}/openapi.json", endpoint, methods=["GET"]) for prefix in ("/api", "/api/v1")]
