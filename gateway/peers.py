"""Where a request came from, and how: what a proxy forwards counts only when the proxy is a configured one (DECISIONS 12 and 13)."""

from ipaddress import ip_address

from starlette.types import Scope

from models.settings import settings


def _header(scope: Scope, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _plain(address: str) -> str:
    """An address in its usual form: of IPv4 also where it was mapped into IPv6. Raises ValueError."""
    found = ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _is_proxy(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in settings().trusted_proxies)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    if not client:
        return ""
    try:
        return _plain(client[0])
    except ValueError:
        return str(client[0])


def address_of(scope: Scope) -> str:
    """The address of the client: the peer's, or the last one in X-Forwarded-For that is no trusted proxy."""
    address = _peer(scope)
    if not settings().trusted_proxies:
        return address
    hops = [hop.strip() for hop in _header(scope, b"x-forwarded-for").split(",")]
    while _is_proxy(address) and hops:
        try:
            address = _plain(hops.pop())
        except ValueError:
            break
    return address


def socket_origin(scope: Scope) -> str:
    """Where this installation's WebSockets are, as `wss://host`: its public URL, or else where this request came to."""
    if settings().public_url:
        return settings().public_url.replace("http", "ws", 1)
    return f"{'wss' if is_secure(scope) else 'ws'}://{_header(scope, b'host')}"


def is_secure(scope: Scope) -> bool:
    """Whether the client speaks TLS, to this process or to a trusted proxy before it."""
    scheme = scope["scheme"]
    if settings().trusted_proxies and _is_proxy(_peer(scope)):
        scheme = _header(scope, b"x-forwarded-proto").split(",")[0].strip() or scheme
    return scheme in ("https", "wss")
