"""Login tokens: a JWT that names a session row, so that logout, password and role changes bite at once (DECISIONS 16)."""

import functools
from datetime import UTC, datetime, timedelta
from time import time
from typing import NamedTuple
from uuid import UUID

import jwt

import models
from models.database import fetch
from models.secrets import token_key
from schema.context import Caller, Context
from schema.errors import InvalidToken

LIFETIME = 604_800
"""Seconds."""
LONGEST = 4096
MOST_KNOWN = 4096
"""Verified tokens that are remembered."""
_ALGORITHM = "HS256"
_NAME = "dokploy"


async def issued(user: models.User) -> str:
    """A new session of the user, as its token."""
    now = datetime.now(UTC).replace(microsecond=0)
    session = await models.Session.create(user_id=user.id, expires_at=now + timedelta(seconds=LIFETIME))
    claims = {
        "sub": str(user.id),
        "jti": str(session.id),
        "iat": now,
        "exp": session.expires_at,
        "aud": _NAME,
        "iss": _NAME,
    }
    return jwt.encode(claims, token_key(), algorithm=_ALGORITHM)


class Claims(NamedTuple):
    """What a verified token says."""

    session: UUID
    user: UUID
    expires: float


@functools.lru_cache(MOST_KNOWN)
def _claims(token: str) -> Claims:
    claims = jwt.decode(
        token,
        token_key(),
        algorithms=[_ALGORITHM],
        audience=_NAME,
        issuer=_NAME,
        options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]},
    )
    return Claims(UUID(claims["jti"]), UUID(claims["sub"]), claims["exp"])


async def caller_of(token: str) -> tuple[Caller, UUID]:
    """Whoever a token stands for, and the session it names.

    That a signature fits is remembered for the tokens seen last; expiry, the session and the role are looked at each time.
    Raises `InvalidToken`.
    """
    if len(token) > LONGEST:
        raise InvalidToken
    try:
        claims = _claims(token)
    except (jwt.InvalidTokenError, ValueError) as error:
        raise InvalidToken from error
    caller = await living(claims.session)
    if claims.expires <= time() or caller.id != claims.user:
        raise InvalidToken
    return caller, claims.session


_LIVING = """
select u.id, u.role, u.tier, u.username from session s join account u on u.id = s.user_id
where s.id = $1 and s.expires_at > $2 and u.disabled_at is null
"""


async def living(session_id: UUID) -> Caller:
    """Whose session this is, with the role they have now, unless it has ended or expired.

    Raises `InvalidToken`.
    """
    for id, role, tier, username in await fetch(_LIVING, session_id, datetime.now(UTC)):
        return Caller(id, models.GlobalRole(role), models.RateTier(tier), username)
    raise InvalidToken


async def present(context: Context) -> Context:
    """The caller as they are now, with nothing learned yet: roles and rights are those of this moment.

    Raises `InvalidToken` when the session has ended.
    """
    found = context.again()
    if found.session_id is not None:
        found.user = await living(found.session_id)
    return found
