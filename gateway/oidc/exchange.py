"""From the code that a browser brings back to whom the provider says it is."""

import base64
from typing import Any
from urllib.parse import quote_plus

import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from gateway.oidc.attempt import Attempt
from gateway.oidc.documents import asking, client, fetched
from gateway.oidc.id_token import claims_of
from gateway.oidc.metadata import Metadata, metadata_of
from models.oidc import Provider
from schema.claims import Person, has
from schema.errors import Unauthorized

log = structlog.get_logger()

_EMAIL = ("email", "email_verified")
"""These mean something together only, and so come from one place."""


async def authorization_url(provider: Provider, attempt: Attempt) -> str:
    """Where a browser goes to log in. Raises `ServiceUnavailable`."""
    async with client(provider) as http:
        metadata = await metadata_of(http, provider)
        given = {"redirect_uri": attempt.callback, "code_verifier": attempt.verifier, "nonce": attempt.nonce}
        url, _ = http.create_authorization_url(metadata.authorization_endpoint, state=attempt.state, **given)
    return str(url)


async def vouched(provider: Provider, attempt: Attempt, code: str | None, error: str | None, issuer: str | None) -> Person:
    """Whom the provider says that a browser belongs to, which it has sent back with a code, or with an error.

    Raises `Unauthorized` when it does not say so, or nothing that can be trusted, and `ServiceUnavailable`.
    """
    async with client(provider) as http:
        metadata = await metadata_of(http, provider)
        if issuer != metadata.issuer and (issuer is not None or metadata.names_itself):
            raise Unauthorized("The browser comes from another provider than it was sent to.")
        if error is not None:
            denied = error == "access_denied"
            raise Unauthorized("The provider says that access was denied." if denied else "The provider has ended the login with an error.")
        if not code:
            raise Unauthorized("The provider has sent no code.")
        tokens = await _tokens(http, provider, metadata, attempt, code)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        access_token = access_token if isinstance(access_token, str) and access_token.isascii() else None
        if not isinstance(id_token, str):
            raise Unauthorized("The provider has sent no ID token.")
        claims = await claims_of(http, provider, metadata, id_token, nonce=attempt.nonce, access_token=access_token)
        if access_token and metadata.userinfo_endpoint and _lacks(claims, provider):
            claims = _joined(claims, await _info(http, provider, metadata.userinfo_endpoint, access_token, claims["sub"]))
    return Person(metadata.issuer, claims["sub"], claims)


async def _tokens(http: AsyncOAuth2Client, provider: Provider, metadata: Metadata, attempt: Attempt, code: str) -> dict[str, Any]:
    """What the code is worth. Raises `Unauthorized` and `ServiceUnavailable`."""
    if provider.client_secret:
        http.token_endpoint_auth_method = "client_secret_post" if metadata.posts_secret else _escaped
    given = {"code": code, "code_verifier": attempt.verifier, "redirect_uri": attempt.callback}
    try:
        async with asking(provider, metadata.token_endpoint):
            return dict(await http.fetch_token(metadata.token_endpoint, grant_type="authorization_code", **given))
    except OAuthError as error:
        log.warning("oidc.code_refused", provider=provider.name, error=error.error)
        raise Unauthorized("The provider does not accept the code of this login.") from error


def _escaped(client: Any, method: str, url: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """Have the client say who it is by the scheme Basic, escaped as OAuth wants it (RFC 6749, 2.3.1) and authlib does not."""
    known = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"
    return url, headers, body


def _lacks(claims: dict[str, Any], provider: Provider) -> bool:
    """Whether an ID token leaves something open that is needed here."""
    role = provider.role_claim
    return any(name not in claims for name in _EMAIL) or bool(role and not has(claims, role))


async def _info(http: AsyncOAuth2Client, provider: Provider, url: str, access_token: str, subject: str) -> dict[str, Any]:
    """What the provider says of somebody beside the ID token. Raises `Unauthorized` when that is somebody else."""
    info = await fetched(http, provider, url, {"Authorization": f"Bearer {access_token}"})
    if info.get("sub") != subject:
        raise Unauthorized("The provider speaks of two different people.")
    return info


def _joined(claims: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The claims of an ID token, and beside them those of the userinfo endpoint."""
    source = claims if all(name in claims for name in _EMAIL) else info
    return info | claims | {name: source.get(name) for name in _EMAIL}
