"""The errors of the API: the specification's table and the codes it lacks (DECISIONS 4 and 5)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypedDict


class Problem(TypedDict):
    """One thing that is wrong with a request; `field` is written in the JSON's own path (`ports[0].containerPort`)."""

    field: str
    message: str
    constraint: str
    received: Any


class ApiError(Exception):
    """The request failed."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or type(self).__doc__ or self.code
        self.details = details
        super().__init__(self.message)


class InternalServerError(ApiError):
    """Something went wrong on our side."""


class InvalidInput(ApiError):
    """The request body is malformed."""

    status = 400
    code = "INVALID_INPUT"


class ValidationFailed(ApiError):
    """Request validation failed"""  # noqa: D400 (the specification's wording)

    status = 400
    code = "VALIDATION_ERROR"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(errors=problems)
        self.problems = problems


class Unauthorized(ApiError):
    """Authentication is required."""

    status = 401
    code = "UNAUTHORIZED"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class InvalidToken(ApiError):
    """The token is invalid or has expired."""

    status = 401
    code = "INVALID_TOKEN"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer error="invalid_token"'})


class Forbidden(ApiError):
    """You may see this, but your role does not allow what you asked for."""

    status = 403
    code = "FORBIDDEN"


class NotFound(ApiError):
    """There is nothing here."""

    status = 404
    code = "RESOURCE_NOT_FOUND"

    @classmethod
    def row(cls, title: str, singular: str, id: str) -> Self:
        """The answer for a row that does not exist, and for one that may not be seen."""
        shown = id[:64]
        return cls(f"{title} with ID '{shown}' not found", resourceType=singular, resourceId=shown)


class MethodNotAllowed(ApiError):
    """This path does not answer to that method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class NotAcceptable(ApiError):
    """There is no answer of a media type that is accepted."""

    status = 406
    code = "NOT_ACCEPTABLE"


class Conflict(ApiError):
    """The request contradicts the present state."""

    status = 409
    code = "CONFLICT"


class PayloadTooLarge(ApiError):
    """The request body is larger than what is taken here."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(ApiError):
    """The request body is of a media type that is not taken here."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"


class RangeNotSatisfiable(ApiError):
    """The file has nothing in this range."""

    status = 416
    code = "RANGE_NOT_SATISFIABLE"

    def __init__(self, size: int) -> None:
        super().__init__()
        self.headers = {"Content-Range": f"bytes */{size}"}


class UnprocessableEntity(ApiError):
    """The request cannot be carried out as things stand."""

    status = 422
    code = "UNPROCESSABLE_ENTITY"


class RateLimitExceeded(ApiError):
    """Rate limit exceeded."""

    status = 429
    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, seconds: int, **details: Any) -> None:
        super().__init__(f"Rate limit exceeded. Try again in {seconds} seconds", **details)
        self.headers = {"Retry-After": str(seconds)}


class ServiceUnavailable(ApiError):
    """The service is temporarily unavailable."""

    status = 503
    code = "SERVICE_UNAVAILABLE"
    headers = MappingProxyType({"Retry-After": "5"})


ERRORS: tuple[type[ApiError], ...] = (
    ValidationFailed,
    InvalidInput,
    Unauthorized,
    InvalidToken,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    PayloadTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    UnprocessableEntity,
    RateLimitExceeded,
    InternalServerError,
    ServiceUnavailable,
)
"""Every error that a client can be answered with, by status."""
