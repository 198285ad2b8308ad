"""A login that is under way: bound to the browser that began it by a cookie that only this installation can read, and good for once."""

import hashlib
import hmac
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Final, Literal, Self

import msgspec
from cryptography.fernet import InvalidToken

from models import valkey
from models.secrets import cipher
from schema.errors import ServiceUnavailable, Unauthorized

LIFETIME: Final = 600
"""Seconds that somebody may take to log in."""
_LONGEST_STATE: Final = 128
_FOREIGN: Final = "This login was not begun in this browser, or too long ago. Begin again."


class Attempt(msgspec.Struct, frozen=True):
    """What is remembered of a login, by the browser alone."""

    purpose: Literal["oidc-login"]
    """Nothing else that the same keys have encrypted has it. A tag of msgspec's would do less: one that lacks is forgiven."""
    provider: str
    """Its name."""
    callback: str
    """The URL that the provider was told to send the browser back to."""
    redirect: str | None
    """The page that the login ends at, if one was asked for."""
    state: str
    nonce: str
    verifier: str
    """Of PKCE: whoever does not know it cannot use the code."""

    @classmethod
    def begun(cls, provider: str, callback: str, redirect: str | None) -> Self:
        """A new one, which nobody can guess."""
        return cls("oidc-login", provider, callback, redirect, token_urlsafe(32), token_urlsafe(32), token_urlsafe(48))

    @property
    def secure(self) -> bool:
        """Whether the browser comes and goes by https."""
        return self.callback.startswith("https:")

    @property
    def cookie(self) -> str:
        """The name of its cookie; each of several logins at once has one."""
        return cookie_of(self.state, secure=self.secure)

    def sealed(self) -> str:
        """The value of its cookie."""
        return cipher().encrypt(msgspec.json.encode(self)).decode()


def cookie_of(state: str, *, secure: bool) -> str:
    """The name of the cookie of a login; by https it is one that no other host or page can have set (RFC 6265bis, 4.1.3.2)."""
    return f"{'__Host-' if secure else ''}dokploy_oidc_{_digest(state)[:16]}"


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode(errors="replace")).hexdigest()


def remembered(cookies: Mapping[str, str], state: str, *, secure: bool) -> Attempt:
    """The login that this browser has begun under a state.

    Raises `Unauthorized` when there is none, or the cookie is older than `LIFETIME` or not by this installation.
    """
    sealed = cookies.get(cookie_of(state, secure=secure), "") if 0 < len(state) <= _LONGEST_STATE else ""
    try:
        attempt = msgspec.json.decode(cipher().decrypt(sealed, ttl=LIFETIME), type=Attempt)
    except (InvalidToken, ValueError) as error:
        raise Unauthorized(_FOREIGN) from error
    if not hmac.compare_digest(attempt.state.encode(), state.encode(errors="replace")):
        raise Unauthorized(_FOREIGN)
    return attempt


async def spend(attempt: Attempt) -> None:
    """Use a login up. Raises `Unauthorized` when it was before, `ServiceUnavailable` when nobody can tell."""
    try:
        fresh = await valkey.client().set(f"dokploy:oidc:{_digest(attempt.state)}", b"1", nx=True, ex=LIFETIME)
    except valkey.AWAY as error:
        raise ServiceUnavailable("Logins by a provider have to wait: the queue is away.") from error
    if not fresh:
        raise Unauthorized("This login has been used already. Begin again.")
