"""Who is asking: the bearer token of a request."""

from starlette.requests import HTTPConnection

from schema import tokens
from schema.context import Context
from schema.errors import InvalidToken, Unauthorized


async def context_of(connection: HTTPConnection) -> Context:
    """The context of a request; without a token, an anonymous one.

    Raises `Unauthorized` for another scheme than Bearer, `InvalidToken` for a token that is worth nothing.
    """
    request_id = connection.scope.get("request_id", "")
    given = connection.headers.getlist("authorization")
    if not given:
        return Context(request_id=request_id)
    if len(given) > 1:
        raise Unauthorized("The Authorization header was sent twice.")
    return await bearer(given[0], request_id)


async def bearer(value: str, request_id: str) -> Context:
    """The context that `Bearer <token>` opens. Raises `Unauthorized` or `InvalidToken`."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("The Authorization header must be 'Bearer <token>'.")
    if not token.isascii() or not token.strip():
        raise InvalidToken
    caller, session = await tokens.caller_of(token.strip())
    return Context(caller, session, request_id)
