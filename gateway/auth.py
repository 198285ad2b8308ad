"""Who is asking: the bearer token of a request."""

from starlette.requests import HTTPConnection
from starlette.types import Scope

from gateway.peers import address_of
from schema import tokens
from schema.context import Context
from schema.errors import InvalidToken, Unauthorized


async def context_of(connection: HTTPConnection) -> Context:
    """The context of a request; without a token, an anonymous one.

    Raises `Unauthorized` for another scheme than Bearer, `InvalidToken` for a token that is worth nothing.
    """
    given = connection.headers.getlist("authorization")
    if not given:
        return nobody(connection.scope)
    if len(given) > 1:
        raise Unauthorized("The Authorization header was sent twice.")
    return await bearer(given[0], connection.scope)


def nobody(scope: Scope) -> Context:
    """The context of a request that nobody is known to have sent."""
    return Context(request_id=scope["request_id"], address=address_of(scope))


async def bearer(value: str, scope: Scope) -> Context:
    """The context that `Bearer <token>` opens. Raises `Unauthorized` or `InvalidToken`."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("The Authorization header must be 'Bearer <token>'.")
    if not token.isascii() or not token.strip():
        raise InvalidToken
    context = nobody(scope)
    context.user, context.session_id = await tokens.caller_of(token.strip())
    return context
