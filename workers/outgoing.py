"""Requests to servers that somebody else has named: at public addresses only, and at the very ones that were looked at."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx2

from models.settings import settings
from workers import addresses

SECONDS: Final = 10.0
"""How long a server is waited for, from looking for its address to the head of its answer."""


class Unreachable(ConnectionError):
    """This server may not be reached: it has no public address, or none at all."""


async def pinned(url: str) -> str:
    """The URL with a checked address in place of its host, unless the administrator allows that host whatever its address.

    The caller sends the host's own name in the header `Host` and in TLS. Raises `Unreachable`.
    """
    parts = urlsplit(url)
    allowed = settings().git_allowed_hosts
    try:
        endpoint = await addresses.check(addresses.parse(f"{parts.scheme}://{parts.netloc}/", allowed), allowed)
    except (addresses.InvalidAddress, addresses.Forbidden, addresses.Unresolvable) as error:
        raise Unreachable(str(error)) from error
    if not endpoint.addresses:
        return url
    return urlunsplit((parts.scheme, _at(parts, endpoint.addresses[0]), parts.path, parts.query, ""))


async def post(url: str, *, headers: Mapping[str, str], content: bytes) -> None:
    """Send a POST to an address that may be reached. It is led nowhere else, and of the answer nothing but the head is read.

    Raises `Unreachable`, `TimeoutError`, and what httpx2 raises: of an answer other than 2xx, too.
    """
    named = httpx2.URL(url)
    said = {"User-Agent": "dokploy", **headers, "Host": named.netloc.decode()}
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
        extensions = {"sni_hostname": named.host}
        request = client.build_request("POST", await pinned(url), content=content, headers=said, extensions=extensions)
        answer = await client.send(request, stream=True)
        await answer.aclose()
    answer.raise_for_status()


def _at(parts: SplitResult, address: str) -> str:
    port = f":{parts.port}" if parts.port else ""
    return f"[{address}]{port}" if ":" in address else f"{address}{port}"
