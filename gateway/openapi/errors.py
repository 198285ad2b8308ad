"""The errors that an operation can answer with, each with an example in the standard envelope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import msgspec

from gateway.openapi.headers import COUNTED, counted, referred
from gateway.openapi.schemas import Components, component, object_of
from schema import errors
from schema.access import Role
from schema.operation import Operation

READS: Final = ("GET", "STREAM")
_TIME: Final = "2024-12-30T10:00:00Z"
_CONTENT: Final = {"schema": {"$ref": "#/components/schemas/Error"}}


@dataclass(frozen=True)
class Instance:
    """How an error was worded once: a message, unless the usual one will do, and details."""

    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


_NAME: Final = errors.Problem(field="name", message="Name must be alphanumeric", constraint="regex", received="My App!")
_REPLICAS: Final = errors.Problem(field="replicas", message="Replicas must be between 0 and 100", constraint="range", received=150)
_INSTANCES: Final[Mapping[type[errors.ApiError], Instance]] = {
    errors.ValidationFailed: Instance(details={"errors": [_NAME, _REPLICAS]}),
    errors.NotFound: Instance("Application with ID 'app-123' not found", {"resourceType": "application", "resourceId": "app-123"}),
    errors.Conflict: Instance("A project of this name exists.", {"reason": "NAME_TAKEN"}),
    errors.UnprocessableEntity: Instance("There is no project with this id.", {"field": "projectId"}),
    errors.PayloadTooLarge: Instance("The request body is larger than 1 MiB."),
    errors.UnsupportedMediaType: Instance("The request body must be application/json."),
    errors.RateLimitExceeded: Instance(
        "Rate limit exceeded. Try again in 45 seconds", {"limit": 100, "remaining": 0, "resetAt": "2024-12-30T10:01:00Z"}
    ),
}
_DETAILS: Final[Mapping[str, Any]] = {
    "errors": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Problem"},
        "description": "With VALIDATION_ERROR: everything that is wrong with the request.",
    },
    "reason": {
        "type": "string",
        "description": "With CONFLICT, UNPROCESSABLE_ENTITY, SERVICE_UNAVAILABLE: a word for what is in the way.",
    },
    "field": {"type": "string", "description": "With UNPROCESSABLE_ENTITY: the field of the body that names nothing."},
    "resourceType": {"type": "string", "description": "With RESOURCE_NOT_FOUND: what was looked for."},
    "resourceId": {"type": "string", "description": "With RESOURCE_NOT_FOUND: the id that was given."},
    "limit": {"type": "integer", "description": "With RATE_LIMIT_EXCEEDED: how many requests a minute may hold."},
    "remaining": {"type": "integer", "description": "With RATE_LIMIT_EXCEEDED: how many requests are left."},
    "resetAt": {"type": "string", "format": "date-time", "description": "With RATE_LIMIT_EXCEEDED: when none is used any more."},
}
_MORE_HEADERS: Final[Mapping[type[errors.ApiError], tuple[str, ...]]] = {
    errors.RangeNotSatisfiable: ("Content-Range",),
    errors.RateLimitExceeded: ("Retry-After",),
    errors.Conflict: ("Idempotency-Replayed",),
    errors.UnprocessableEntity: ("Idempotency-Replayed",),
}
"""What an error says in headers beside those of its class."""
_NEVER: Final = (errors.MethodNotAllowed, errors.NotAcceptable)
"""What no operation answers with."""
_NAMES: Final = {status: next(same).__name__ for status, same in groupby(errors.ERRORS, lambda each: each.status)}
"""An answer is named after the first error of its status."""
_PROBLEM: Final[Mapping[str, str]] = {
    "field": "The place in the request, as in `ports[0].containerPort`.",
    "message": "A sentence for people.",
    "constraint": "A word for the rule that was broken.",
    "received": "What was given there; null when it was nothing, too large to show, or secret.",
}


def failures(operation: Operation[Any]) -> list[type[errors.ApiError]]:
    """Every error that an operation can answer with, by status."""
    acts = operation.method not in READS
    decides = acts and bool(operation.signature.input or operation.signature.rows)
    possible = {
        errors.Unauthorized: counted(operation),
        errors.InvalidToken: counted(operation),
        errors.InvalidInput: operation.uploads or operation.signature.input is not None,
        errors.Forbidden: operation.needs > Role.viewer or decides,
        errors.NotFound: bool(operation.signature.rows),
        errors.MethodNotAllowed: False,
        errors.NotAcceptable: False,
        errors.Conflict: acts or operation.downloads,
        errors.PayloadTooLarge: acts,
        errors.UnsupportedMediaType: acts,
        errors.RangeNotSatisfiable: operation.downloads,
        errors.UnprocessableEntity: acts,
        errors.RateLimitExceeded: counted(operation),
    }
    return [each for each in errors.ERRORS if possible.get(each, True)]


def failed(operation: Operation[Any]) -> dict[str, Any]:
    """The failed answers of an operation by status, each by reference."""
    return shared(*(status for status, _ in groupby(failures(operation), lambda each: each.status)))


def shared(*statuses: int) -> dict[str, Any]:
    """The failed answers of some statuses, each by reference."""
    return {str(status): {"$ref": f"#/components/responses/{_NAMES[status]}"} for status in statuses}


def responses() -> dict[str, Any]:
    """The failed answers that operations share, by name."""
    described = groupby((each for each in errors.ERRORS if each not in _NEVER), lambda each: each.status)
    return {_NAMES[status]: _response(tuple(same)) for status, same in described}


def _response(same: tuple[type[errors.ApiError], ...]) -> dict[str, Any]:
    headers = {name for each in same for name in (*each.headers, *_MORE_HEADERS.get(each, ()))}
    return {
        "description": " ".join(f"{_sentence(each).rstrip('.')}." for each in same),
        "headers": referred((*COUNTED, *sorted(headers))),
        "content": {"application/json": {**_CONTENT, "examples": {each.code: {"value": _envelope(each)} for each in same}}},
    }


def _sentence(error: type[errors.ApiError]) -> str:
    return error.__doc__ or error.code


def _envelope(error: type[errors.ApiError]) -> dict[str, Any]:
    instance = _INSTANCES.get(error, Instance())
    return {
        "error": {
            "code": error.code,
            "message": instance.message or _sentence(error),
            "details": dict(instance.details),
            "timestamp": _TIME,
            "requestId": "req-abc-123",
        }
    }


def describe(components: Components) -> None:
    """Put the schemas of the envelope among the components."""
    problem = msgspec.json.schema_components([errors.Problem])[1]["Problem"]
    described = {name: {**schema, "description": _PROBLEM[name]} for name, schema in problem["properties"].items()}
    component(components, "Problem", object_of({name: described[name] for name in _PROBLEM}))
    details = component(components, "ErrorDetails", {"type": "object", "properties": dict(_DETAILS)})
    error = {
        "code": {"type": "string", "enum": list(dict.fromkeys(each.code for each in errors.ERRORS))},
        "message": {"type": "string", "description": "A sentence for people."},
        "details": details,
        "timestamp": {"type": "string", "format": "date-time"},
        "requestId": {"type": "string", "description": "The same as the header X-Request-ID."},
    }
    component(components, "Error", object_of({"error": object_of(error)}))
