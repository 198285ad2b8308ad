"""Requests to servers that somebody else has named: at public addresses only, and at the very ones that were looked at."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx2

from workers import addresses

SECONDS: Final = 10.0
"""How long a server is waited for, from looking for its address to the head of its answer."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
MOST_TRIES: Final = 15
"""After which somebody who does not listen is given up, about six hours after the first."""


def pause_after(tries: int) -> timedelta:
    """How long a server is left alone that did not listen so many times in a row: a time that doubles."""
    return min(FIRST_PAUSE * (1 << min(tries - 1, 12)), LONGEST_PAUSE)


class Unreachable(ConnectionError):
    """This server may not be reached: it has no public address, or none at all."""

    def __init__(self, sentence: str, *, lasting: bool) -> None:
        super().__init__(sentence)
        self.lasting = lasting
        """Whether it will stay so: the address is none, or is not allowed. A name that was not found may be found the next time."""


async def pinned(url: str, allowed: frozenset[str]) -> str:
    """The URL with a checked address in place of its host, unless that is one of those allowed whatever their addresses.

    The caller sends the host's own name in the header `Host` and in TLS. `allowed` holds `host` or `host:port`. Raises `Unreachable`.
    """
    try:
        parts = urlsplit(url)
        endpoint = await addresses.check(addresses.parse(f"{parts.scheme}://{parts.netloc}/", allowed), allowed)
    except addresses.Unresolvable as error:
        raise Unreachable(str(error), lasting=False) from error
    except (addresses.InvalidAddress, addresses.Forbidden) as error:
        raise Unreachable(str(error), lasting=True) from error
    except ValueError:
        raise Unreachable("The URL names no server.", lasting=True) from None
    if not endpoint.addresses:
        return url
    return urlunsplit((parts.scheme, _at(parts, endpoint.addresses[0]), parts.path, parts.query, ""))


async def post(url: str, *, allowed: frozenset[str], headers: Mapping[str, str], content: bytes) -> None:
    """Send a POST to an address that may be reached, or to a host that is allowed whatever its address.

    It is led nowhere else, and of the answer nothing but the head is read.
    Raises `Unreachable`, `TimeoutError`, and what httpx2 raises: of an answer other than 2xx, too.
    """
    try:
        named = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise Unreachable("The URL names no server.", lasting=True) from None
    said = {"User-Agent": "dokploy", **headers, "Host": named.netloc.decode()}
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
        extensions = {"sni_hostname": named.host}
        request = client.build_request("POST", await pinned(url, allowed), content=content, headers=said, extensions=extensions)
        answer = await client.send(request, stream=True)
        await answer.aclose()
    answer.raise_for_status()


def _at(parts: SplitResult, address: str) -> str:
    port = f":{parts.port}" if parts.port else ""
    return f"[{address}]{port}" if ":" in address else f"{address}{port}"
