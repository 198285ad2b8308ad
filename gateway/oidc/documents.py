"""Asking a provider: never led elsewhere, for a limited time, and read up to a limited size. What it publishes is kept for a while."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext
from time import monotonic
from typing import Any, Final, TypeVar, cast

import httpx2
import msgspec
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client

import workers
from models.oidc import Provider
from models.settings import settings
from schema.errors import ServiceUnavailable

log = structlog.get_logger()

SECONDS: Final = 10.0
"""For a whole answer."""
LARGEST: Final = 1024 * 1024
"""Bytes of an answer."""
KEPT: Final = 3600.0
"""Seconds for which a document is taken for what the provider publishes."""
AGAIN: Final = 60.0
"""Seconds in which a document is asked for once more at most."""
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "dokploy"}
_UNUSABLE: Final = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, TimeoutError, OSError, ValueError, TypeError, RecursionError)
"""What asking raises when nobody answers, or not as they should."""

Document = dict[str, Any]
T = TypeVar("T")


class _Limited(httpx2.AsyncByteStream):
    """The bytes of an answer, up to the limit."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > LARGEST:
                raise httpx2.ReadError("The answer is too large.")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Transport(httpx2.AsyncHTTPTransport):
    """Limits answers before they are unpacked, and takes none that is packed.

    Where the administrator has not named the server, its address must be a public one: the provider has named it.
    """

    def __init__(self, provider: Provider) -> None:
        super().__init__(verify=_trusted())
        self._named = provider.servers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (request.url.scheme, request.url.netloc.decode()) not in self._named:
            request.extensions = {**request.extensions, "sni_hostname": request.url.host}
            request.url = httpx2.URL(await workers.pinned(str(request.url), settings().git_allowed_hosts))
        answer = await super().handle_async_request(request)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise httpx2.ReadError("The answer is compressed, which was not asked for.")
        stream = _Limited(answer.stream)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=stream, extensions=answer.extensions)


@functools.cache
def _trusted() -> SSLContext:
    """The authorities that are trusted; reading them takes a while."""
    return httpx2.create_ssl_context()


def client(provider: Provider) -> AsyncOAuth2Client:
    """A client for one login by a provider."""
    secret = provider.client_secret.get_secret_value() if provider.client_secret else None
    return AsyncOAuth2Client(
        client_id=provider.client_id,
        client_secret=secret,
        scope=" ".join(provider.scopes),
        code_challenge_method="S256",
        transport=_Transport(provider),
        headers=_HEADERS,
        timeout=SECONDS,
        follow_redirects=False,
        trust_env=False,
    )


@asynccontextmanager
async def asking(provider: Provider, url: str) -> AsyncIterator[None]:
    """Raise `ServiceUnavailable` when the provider cannot be reached inside, takes too long or answers what cannot be used."""
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except _UNUSABLE as error:
        log.warning("oidc.provider_away", provider=provider.name, url=url, error=repr(error))
        raise ServiceUnavailable(f"{provider.title} cannot be reached, or does not answer as it should. Try again later.") from error


async def fetched(http: AsyncOAuth2Client, provider: Provider, url: str, headers: dict[str, str] | None = None) -> Document:
    """The JSON object at a URL of the provider. Raises `ServiceUnavailable`."""
    async with asking(provider, url):
        answer = await http.request("GET", url, headers=headers, withhold_token=True)
        if answer.status_code != httpx2.codes.OK:
            raise ValueError(f"HTTP {answer.status_code}")
        return msgspec.json.decode(answer.content, type=Document)


@dataclass
class _Kept:
    """What was read in a document, since when it is known, and when it was last asked for; both by the monotonic clock."""

    value: Any
    since: float
    asked: float


_kept: dict[tuple[str, str], _Kept] = {}
"""By the name of a provider and the URL, as are the next two."""
_turns: dict[tuple[str, str], asyncio.Lock] = {}
"""Whoever wants the same document waits for whoever asks for it."""
_failed: dict[tuple[str, str], float] = {}
"""When it could not be had: that holds for whoever was waiting, too."""


async def published(http: AsyncOAuth2Client, provider: Provider, url: str, read: Callable[[Document], T], *, anew: bool = False) -> T:
    """What is to be read in a document that the provider publishes: as it was within the last hour, or `anew`, once in a minute at most.

    `read` raises ValueError for a document that cannot be used, which is not kept. Raises `ServiceUnavailable`.
    """
    place, begun = (provider.name, url), monotonic()
    async with _turns.setdefault(place, asyncio.Lock()):
        known, now = _kept.get(place), monotonic()
        if known is not None:
            lasts = known.asked + AGAIN if anew else known.since + KEPT
            if known.since >= begun or now < lasts:
                return cast("T", known.value)
            known.asked = now
        if _failed.get(place, 0.0) >= begun:
            raise ServiceUnavailable(f"{provider.title} could not be reached a moment ago. Try again later.")
        try:
            document = await fetched(http, provider, url)
            async with asking(provider, url):
                value = read(document)
        except ServiceUnavailable:
            _failed[place] = monotonic()
            raise
        _kept[place] = _Kept(value, now, now)
    return value
