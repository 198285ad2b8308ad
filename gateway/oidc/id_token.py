"""ID tokens: who signed one, for whom, for which login, and until when (OpenID Connect Core, 3.1.3.7)."""

from contextlib import suppress
from typing import Any, Final, NoReturn

import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, ClaimError, InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from gateway.oidc.documents import Document, published
from gateway.oidc.metadata import Metadata
from models.oidc import Provider
from schema.errors import Unauthorized
from schema.inputs import clean

log = structlog.get_logger()

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those whose keys can be published: whoever can verify a token cannot make one."""
LEEWAY: Final = 60
"""Seconds by which clocks may differ."""
LONGEST_SUBJECT: Final = 255
MOST_KEYS: Final = 100
"""Of one provider."""
SHORTEST_MODULUS, LONGEST_MODULUS, LONGEST_EXPONENT = 342, 1366, 8
"""Characters in base64url: keys of 2048 to 8192 bits."""
_PUBLIC: Final = frozenset({"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"})
_MALFORMED: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading something that is no token, or no key, raises."""


class _Registry(JWSRegistry):
    """Only the algorithms above. EdDSA is one of them, though there are newer names for it; headers that nobody knows are passed over."""

    max_header_length = 4096
    max_signature_length = 2048

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


_REGISTRY: Final = _Registry(strict_check_header=False)


async def claims_of(
    http: AsyncOAuth2Client, provider: Provider, metadata: Metadata, token: str, *, nonce: str, access_token: str | None
) -> dict[str, Any]:
    """What an ID token says, once everything about it has been verified.

    Raises `Unauthorized` for a token that is not good, `ServiceUnavailable` when the provider's keys cannot be had.
    """
    try:
        signed = await _signed(http, provider, metadata, token)
    except _MALFORMED as error:
        _refuse(provider, "The ID token of the provider is not signed as it must be.", error)
    wanted = {name: {"essential": True, "value": value} for name, value in (("iss", metadata.issuer), ("aud", provider.client_id))}
    known = {"nonce": nonce, "client_id": provider.client_id, "access_token": access_token}
    claims = CodeIDToken(signed.claims, signed.header, wanted, known)
    try:
        claims.validate(leeway=LEEWAY)
        _check_subject(claims["sub"])
    except ClaimError as error:
        _refuse(provider, f"The ID token of the provider is expired, or not for this login: `{error.claim}`.", error)
    except _MALFORMED as error:
        _refuse(provider, "The ID token of the provider does not say what it must.", error)
    return dict(claims)


def _refuse(provider: Provider, sentence: str, error: Exception) -> NoReturn:
    log.warning("oidc.bad_id_token", provider=provider.name, error=repr(error))
    raise Unauthorized(sentence) from error


def _check_subject(subject: object) -> None:
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not clean(subject):
        raise ValueError("sub is nothing that could be kept")


async def _signed(http: AsyncOAuth2Client, provider: Provider, metadata: Metadata, token: str) -> jwt.Token:
    """A token by one of the provider's keys, which are asked for again when none fits: they change."""
    keys = await published(http, provider, metadata.jwks_uri, _keys)
    try:
        return jwt.decode(token, keys, registry=_REGISTRY)
    except (InvalidKeyIdError, BadSignatureError):
        keys = await published(http, provider, metadata.jwks_uri, _keys, anew=True)
        return jwt.decode(token, keys, registry=_REGISTRY)


def _public(key: dict[str, Any]) -> dict[str, Any]:
    """What of a key is for everybody: the rest could take minutes to make sense of. Raises ValueError for one that signs nothing well."""
    found = {name: value for name, value in key.items() if name in _PUBLIC}
    if found.get("kty") not in ("RSA", "EC", "OKP"):
        raise ValueError("a key of another kind")
    if found["kty"] == "RSA" and not (SHORTEST_MODULUS <= len(found["n"]) <= LONGEST_MODULUS and len(found["e"]) <= LONGEST_EXPONENT):
        raise ValueError("an RSA key of another size")
    return found


def _keys(document: Document) -> KeySet:
    """The keys of a provider that can verify something; others may stand beside them. Raises ValueError when there is none."""
    listed = document.get("keys")
    found: list[Key] = []
    for each in listed[:MOST_KEYS] if isinstance(listed, list) else ():
        with suppress(*_MALFORMED):
            found.append(JWKRegistry.import_key(_public(each)))
    if not found:
        raise ValueError("there are no keys")
    return KeySet(found)
