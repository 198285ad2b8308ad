"""Requests to servers that somebody else has named: at public addresses only, and at the very ones that were looked at."""

from urllib.parse import SplitResult, urlsplit, urlunsplit

from models.settings import settings
from workers import addresses


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


def _at(parts: SplitResult, address: str) -> str:
    port = f":{parts.port}" if parts.port else ""
    return f"[{address}]{port}" if ":" in address else f"{address}{port}"
