"""Login tokens: a JWT that names a session row, so that logout, password and role changes bite at once (DECISIONS 16)."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

import models
from models.secrets import token_key
from schema.errors import InvalidToken

LIFETIME = 604_800
"""Seconds."""
LONGEST = 4096
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


async def session_of(token: str) -> models.Session:
    """The live session that a token names, its user fetched with it.

    Raises `InvalidToken`.
    """
    if len(token) > LONGEST:
        raise InvalidToken
    try:
        claims = jwt.decode(
            token,
            token_key(),
            algorithms=[_ALGORITHM],
            audience=_NAME,
            issuer=_NAME,
            options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]},
        )
        key, user = UUID(claims["jti"]), UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError) as error:
        raise InvalidToken from error
    session = await living(key)
    if session.user_id != user:
        raise InvalidToken
    return session


async def living(session_id: UUID) -> models.Session:
    """A session that has neither ended nor expired, its user as they are now fetched with it.

    Raises `InvalidToken`.
    """
    session = await models.Session.filter(id=session_id, expires_at__gt=datetime.now(UTC)).select_related("user").first()
    if session is None:
        raise InvalidToken
    return session
