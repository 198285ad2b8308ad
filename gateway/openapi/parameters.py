"""The parameters of an operation: the ids of its path, its query, and the key that lets a request be repeated."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from gateway.openapi.examples import sample
from gateway.openapi.schemas import inlined, trimmed
from gateway.rest import FOLLOW, LAST_EVENT_ID, query_types
from schema.fields import Listing
from schema.names import api_name
from schema.operation import Operation, Parameter
from schema.page import DEFAULT_SIZE
from schema.surface import Bound

_PAGING: Final[Mapping[str, str]] = {
    "limit": "How many items the page holds at most.",
    "cursor": "Where the page starts: `nextCursor` or `prevCursor` of another page of this list.",
    "sort": "What the items are sorted by.",
    "order": "The direction of the sort; if it is not given, times come latest first and the rest in ascending order.",
    "search": "Only items whose name contains this, in upper or lower case.",
}
_FILTERS: Final[Mapping[str, str]] = {
    "=": "Only items whose {column} is this.",
    "in": "Only items whose {column} is one of these.",
    ">=": "Only items whose {column} is this or later.",
    "<=": "Only items whose {column} is this or earlier.",
}
_ID: Final = {"type": "string", "format": "uuid"}

PARAMETERS: Final[Mapping[str, Any]] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Makes the request safe to repeat: the first answer under this key is replayed for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]*$"},
    },
    "Range": {
        "name": "Range",
        "in": "header",
        "required": False,
        "description": "The part that is wanted: `bytes=0-99`, `bytes=100-` or `bytes=-100`. Whatever else stands here is ignored.",
        "schema": {"type": "string"},
        "example": "bytes=0-99",
    },
    "IfRange": {
        "name": "If-Range",
        "in": "header",
        "required": False,
        "description": "The `ETag` of what the client has a part of: when it is another one now, all of the file is sent.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The `ETag` of what the client has: when it still is the same, nothing is sent.",
        "schema": {"type": "string"},
    },
}
"""The parameters that many operations share."""
FILE: Final = ("Range", "IfRange", "IfNoneMatch")
"""Those of a download."""


def parameters(bound: Bound) -> list[dict[str, Any]]:
    """Every parameter of an operation."""
    key = [{"$ref": "#/components/parameters/IdempotencyKey"}] if bound.operation.repeatable else []
    last = [_last_event_id(bound.operation.resumes)] if bound.operation.resumes else []
    ranges = [{"$ref": f"#/components/parameters/{name}"} for name in FILE] if bound.operation.downloads else []
    return [*_path(bound), *_query(bound.operation), *key, *last, *ranges]


def following(stream: Bound) -> list[dict[str, Any]]:
    """The parameters by which a query is followed."""
    described = "Go on with what comes: over a WebSocket, or as server-sent events."
    follow = {"name": FOLLOW, "in": "query", "required": False, "description": described, "schema": {"type": "boolean", "default": False}}
    return [follow, *([_last_event_id(stream.operation.resumes)] if stream.operation.resumes else [])]


def _last_event_id(resumes: Parameter) -> dict[str, Any]:
    described = "The `id` of the last event that was received, as browsers send it of themselves: the stream goes on after it."
    schema = trimmed(inlined(TypeAdapter(resumes.annotation).json_schema()))
    return {"name": LAST_EVENT_ID, "in": "header", "required": False, "description": described, "schema": schema}


def _path(bound: Bound) -> list[dict[str, Any]]:
    first, *more = bound.operation.ids or ("",)
    ids = {first: bound.entities[0].singular, **{name: name.removesuffix("Id") for name in more}} if first else {}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"The id of the {singular}.",
            "schema": _ID,
            "example": sample((f"{singular}.id",), _ID),
        }
        for name, singular in ids.items()
    ]


def _query(operation: Operation[Any]) -> list[dict[str, Any]]:
    required = {api_name(each.name) for each in operation.signature.parameters if each.required}
    defaults = {api_name(each.name): each.default for each in operation.signature.parameters if not each.required}
    words = _words(operation.listing) if operation.listing else {}
    found = []
    for name, type_ in query_types(operation).items():
        schema = TypeAdapter(type_).json_schema()
        if name == "sort" and operation.listing is not None:
            schema = {"type": "string", "enum": [api_name(column) for column in operation.listing.sort]}
        if name == "limit" and operation.listing is not None:
            schema["default"] = DEFAULT_SIZE
        if defaults.get(name) is not None:
            schema["default"] = defaults[name]
        described = {"description": words[name]} if name in words else {}
        found.append({"name": name, "in": "query", "required": name in required, **described, "schema": trimmed(inlined(schema))})
    return found


def _words(listing: Listing) -> dict[str, str]:
    """What the parameters of a list mean."""
    filters = {
        api_name(name): _FILTERS[each.operator].format(column=f"`{api_name(each.column)}`") for name, each in listing.filters.items()
    }
    return {**_PAGING, **filters}
