"""Files as the OpenAPI document describes them: what a download answers with, and what an upload takes."""

from typing import Any, Final

from gateway.openapi.headers import FILE, referred, successful
from schema.operation import Operation

NOT_REPEATABLE: Final = "An `Idempotency-Key` is refused (400): what was sent is known only once all of it has come."


def content() -> dict[str, Any]:
    """Bytes."""
    return {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}, "example": "PGDMP..."}}


def answers(operation: Operation[Any]) -> dict[str, Any]:
    """What a download answers with when nothing fails: all of the file, a part of it, or that the client has it already."""
    known = successful(operation) | referred(FILE)
    named = known | referred(("Content-Disposition",))
    ranged = named | referred(("Content-Range",))
    return {
        "200": {"description": "The file.", "headers": named, "content": content()},
        "206": {"description": "The part of the file that `Range` names.", "headers": ranged, "content": content()},
        "304": {"description": "The file is still the one that `If-None-Match` names.", "headers": known},
    }
