"""The headers of answers, as the OpenAPI document describes them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.admission import UNCOUNTED
from schema.operation import Operation
from schema.surface import PREFIX


def _header(type_: str, description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": type_}}


HEADERS: Final[Mapping[str, Any]] = {
    "X-Request-ID": _header("string", "The request's id: the caller's own when it is sane, else a new one."),
    "X-RateLimit-Limit": _header("integer", "How many requests a minute may hold; like the next three, absent where none are counted."),
    "X-RateLimit-Remaining": _header("integer", "How many requests are left at this moment."),
    "X-RateLimit-Reset": _header("integer", "When all of them are there again, in seconds since 1970."),
    "X-RateLimit-Used": _header("integer", "How many requests are used up at this moment."),
    "Accept-Ranges": _header("string", "`bytes`: parts of the file can be asked for."),
    "Content-Disposition": _header("string", "What the file is called."),
    "Content-Range": _header("string", "Which bytes of the file these are, of how many: `bytes 0-99/1234`; `bytes */1234` is none."),
    "ETag": _header("string", "The SHA-256 checksum of the file in hexadecimal digits, in quotes."),
    "Idempotency-Replayed": _header("string", "`true` where this is the answer that the same request got before."),
    "Location": _header("string", "Where to go on to."),
    "Retry-After": _header("integer", "After how many seconds it is worth another try."),
    "WWW-Authenticate": _header("string", "What the Authorization header must look like."),
}
"""Every header that an answer may carry beside those of HTTP itself."""

ENDS: Final[Mapping[str, Any]] = {
    "X-Deprecated": _header("string", "`true`: the operation will go."),
    "X-Deprecated-Version": _header("string", "The version of the API that it goes with."),
    "X-Sunset": _header("string", "The day from which it may be gone."),
    "X-Migration-Guide": _header("string", "The URL of what to do instead."),
}
"""The headers of an operation that will go."""

FILE: Final = ("Accept-Ranges", "ETag")
"""Of every answer that is about a file which is there."""
ALWAYS: Final = ("X-Request-ID",)
COUNTED: Final = (*ALWAYS, "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Used")


def counted(operation: Operation[Any]) -> bool:
    """Whether requests to an operation count towards the rate limits (DECISIONS 12)."""
    return PREFIX + operation.path not in UNCOUNTED


def successful(operation: Operation[Any]) -> dict[str, Any]:
    """The headers of what an operation answers when nothing fails."""
    replayed = ("Idempotency-Replayed",) if operation.repeatable else ()
    ends = dict(ENDS) if operation.deprecation else {}
    return referred((*(COUNTED if counted(operation) else ALWAYS), *replayed)) | ends


def referred(names: Iterable[str]) -> dict[str, Any]:
    """The headers of an answer, each by reference."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
