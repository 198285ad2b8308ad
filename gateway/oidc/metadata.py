"""What a provider says of itself (OpenID Connect Discovery)."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from authlib.integrations.httpx_client import AsyncOAuth2Client

from gateway.oidc.documents import Document, published
from models.oidc import Provider

_LONGEST_ISSUER = 512


@dataclass(frozen=True)
class Metadata:
    """The parts of it that a login needs; each URL is one that the provider may have."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    posts_secret: bool
    """Whether the client's secret stands in the body, since the scheme Basic is not taken."""
    names_itself: bool
    """Whether it says who it is when it sends a browser back (RFC 9207)."""

    @classmethod
    def of(cls, provider: Provider, document: Document) -> Self:
        """Read them. Raises ValueError when one lacks or may not be."""

        def url(name: str) -> Any:
            if not provider.may_have(document.get(name)):
                raise ValueError(f"{name} is no URL that it may have")
            return document[name]

        issuer = url("issuer")
        if len(issuer) > _LONGEST_ISSUER or not provider.is_issuer(issuer):
            raise ValueError("issuer is another one than it should be")
        methods = document.get("token_endpoint_auth_methods_supported")
        return cls(
            issuer,
            url("authorization_endpoint"),
            url("token_endpoint"),
            url("jwks_uri"),
            url("userinfo_endpoint") if "userinfo_endpoint" in document else None,
            isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods,
            document.get("authorization_response_iss_parameter_supported") is True,
        )


async def metadata_of(http: AsyncOAuth2Client, provider: Provider) -> Metadata:
    """What a provider says of itself. Raises `ServiceUnavailable` when it cannot be reached or says what may not be."""
    return await published(http, provider, provider.metadata, partial(Metadata.of, provider))
