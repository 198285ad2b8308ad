"""Idempotency-Key: a request that is sent again gets the first answer, and nothing is done twice.

The change, its entry in the audit trail and the answer are one transaction, so that a gateway that dies leaves all of them or none.
What was refused before anything was done (400, 401, 403, 404, 429) is not an answer to keep: the same key may be used again.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import envelope
from models import answers
from models.answers import Asking
from models.database import together
from schema.context import Context
from schema.errors import ApiError, Conflict, Forbidden, InvalidInput, NotFound, UnprocessableEntity, ValidationFailed
from schema.inputs import refuse

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyReused(UnprocessableEntity):
    """This Idempotency-Key was used for another request."""


class StillRunning(Conflict):
    """A request with this Idempotency-Key is still being answered."""


Answer = Callable[[], Awaitable[tuple[Response, bool]]]
"""Answers a request; and whether that is to be kept."""


async def once(request: Request, context: Context, body: bytes, answer: Answer) -> Response:
    """The answer to a request, the kept one when there is one.

    Raises `ValidationFailed` for a key that is none, `KeyReused`, `StillRunning`, and what the answer raises.
    """
    given = request.headers.getlist(HEADER)
    if not given or context.user is None:
        return (await answer())[0]
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        refuse(HEADER, "regex", "must be given once, as 1 to 255 visible ASCII characters")
    asking = Asking(context.user.id, given[0], _fingerprint(request, body))
    found = await _first_or_kept(asking, answer, context)
    if isinstance(found, ApiError):
        raise found
    return found


async def _first_or_kept(asking: Asking, answer: Answer, context: Context) -> Response | ApiError:
    """What the twin got, or the answer; a refusal that leaves the key free is given back, so that its entry in the audit trail stays."""
    async with together():
        if not await answers.claim(asking):
            raise StillRunning(reason="STILL_RUNNING")
        kept = await answers.find(asking)
        if kept is None:
            try:
                response, keeping = await answer()
            except (Conflict, UnprocessableEntity) as error:
                response, keeping = _refusal(error, context), True
            except (Forbidden, NotFound, ValidationFailed, InvalidInput) as error:
                return error
            if keeping:
                await answers.keep(asking, response.status_code, bytes(response.body))
            return response
    if kept.fingerprint != asking.fingerprint:
        raise KeyReused(field=HEADER)
    return Response(kept.body, kept.status, {"Idempotency-Replayed": "true"}, media_type="application/json" if kept.body else None)


def _refusal(error: ApiError, context: Context) -> Response:
    body = msgspec.json.encode(envelope(error, context.request_id))
    return Response(body, error.status, error.headers, media_type="application/json")


def _fingerprint(request: Request, body: bytes) -> str:
    path = request.url.path.replace("/api/v1/", "/api/", 1)
    return hashlib.sha256(f"{request.method} {path}?{request.url.query}\n".encode() + body).hexdigest()
