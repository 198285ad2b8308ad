"""Errors on their way out: the specification's envelope, and the same facts as GraphQL extensions."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from gateway.graphql_answers import JSON, RESULT, VARY
from gateway.negotiation import accepted, preferred
from models.database import AWAY
from schema.errors import (
    ApiError,
    InternalServerError,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ServiceUnavailable,
)
from schema.scalars import instant

log = structlog.get_logger()

GRAPHQL = ("/api/graphql", "/api/v1/graphql")

_OF_STATUS: dict[int, type[ApiError]] = {404: NotFound, 405: MethodNotAllowed, 413: PayloadTooLarge}


def fact(error: BaseException, request_id: str) -> ApiError:
    """Return the API's word for any exception; what is no fact of ours is logged and shown as an internal error."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        return _OF_STATUS.get(error.status_code, InvalidInput)()
    if isinstance(error, AWAY):
        log.warning("gateway.database_away", request_id=request_id, error=str(error))
        return ServiceUnavailable()
    log.error("gateway.unexpected", request_id=request_id, exc_info=error)
    return InternalServerError()


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """The body of a failed REST request."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "timestamp": instant(datetime.now(UTC).replace(microsecond=0)),
            "requestId": request_id,
        }
    }


def extensions(error: ApiError, request_id: str) -> dict[str, Any]:
    """What a GraphQL error carries beside its message."""
    return {"code": error.code, "details": error.details, "requestId": request_id}


def problem(error: BaseException, request_id: str) -> dict[str, Any]:
    """What kept a whole GraphQL request from running, as the protocol prints it."""
    found = fact(error, request_id)
    return {"message": found.message, "extensions": extensions(found, request_id)}


def error_response(error: BaseException, scope: Scope) -> Response:
    """The answer of a failed request, in the words of REST or of GraphQL."""
    request_id: str = scope["request_id"]
    found = fact(error, request_id)
    headers = dict(found.headers)
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers
    if scope["path"] not in GRAPHQL:
        return Response(msgspec.json.encode(envelope(found, request_id)), found.status, headers, media_type="application/json")
    media_type = preferred(accepted(Headers(scope=scope)), (JSON, RESULT)) or JSON
    content = msgspec.json.encode({"errors": [problem(found, request_id)]})
    return Response(content, found.status, headers | VARY, media_type=media_type)
