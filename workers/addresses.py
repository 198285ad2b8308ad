"""Which hosts a tenant's URL may reach: public addresses, and what the administrator allow-lists; nothing else."""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass, replace
from typing import Final

DEFAULT_PORTS: Final = {"https": 443, "http": 80, "ssh": 22}

# Everything that different parsers read differently (backslash, percent, '#', second '@', blanks, other alphabets) is left out.
_URL = re.compile(
    r"(?P<scheme>https?|ssh)://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~/+@%,=-]*)"
)
_SCP = re.compile(
    r"(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})@(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?):(?P<path>[A-Za-z0-9._~/][A-Za-z0-9._~/+%,=-]*)"
)
_CREDENTIALS = re.compile(r"https?://[^/?#]*@")
_NUMERIC_END = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)$")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_FORBIDDEN_V6 = tuple(ipaddress.IPv6Network(text) for text in ("::/96", "64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16"))


class InvalidAddress(Exception):
    """This is not a URL of the form https://host/path, ssh://user@host/path or user@host:path."""


class Forbidden(Exception):
    """This address is not public and not allowed by the administrator."""


class Unresolvable(Exception):
    """This host name does not exist, or its name server does not answer."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL taken apart. `addresses` are the checked ones, to be pinned; empty for an allow-listed host."""

    scheme: str
    user: str
    host: str
    port: int
    path: str
    scp: bool = False
    addresses: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The URL put together again from the checked parts, in one spelling."""
        user = f"{self.user}@" if self.user else ""
        if self.scp:  # stays as it is: its path is relative to the home directory
            return f"{user}{self.host}:{self.path}"
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{user}{self.host}{port}{self.path}"


def parse(url: str, allowed_hosts: frozenset[str]) -> Endpoint:
    """Take a URL apart. `allowed_hosts` holds `host` or `host:port`; plain HTTP is for these only.

    Raises InvalidAddress and Forbidden.
    """
    endpoint = _split(url)
    if allowed(endpoint, allowed_hosts):
        return endpoint
    if endpoint.scheme == "http":
        raise Forbidden("Plain HTTP is only for hosts that the administrator allows; use https.")
    if literal(endpoint.host) is None and _NUMERIC_END.search(endpoint.host):
        raise Forbidden("A host that ends in a number is an IP address in disguise.")
    return endpoint


def _split(url: str) -> Endpoint:
    if _CREDENTIALS.match(url):
        raise InvalidAddress("Credentials do not belong into the URL.")
    if len(url) > 2048:
        raise InvalidAddress("The URL is longer than 2048 characters.")
    if match := _URL.fullmatch(url):
        scheme = match["scheme"]
        port = int(match["port"] or DEFAULT_PORTS[scheme])
    elif "://" not in url and (match := _SCP.fullmatch(url)):
        scheme, port = "ssh", DEFAULT_PORTS["ssh"]
    else:
        raise InvalidAddress(InvalidAddress.__doc__)
    host = match["host"].lower()
    if ".." in host:
        raise InvalidAddress(f"{host} is not a host name.")
    if (address := literal(host)) and host.startswith("["):
        host = f"[{address}]"
    if not 0 < port < 65536:
        raise InvalidAddress(f"{port} is not a port.")
    return Endpoint(scheme, match["user"] or "", host, port, match["path"], scp="://" not in url)


def allowed(endpoint: Endpoint, allowed_hosts: frozenset[str]) -> bool:
    """Whether the administrator allows this host, or this host at this port."""
    names = {name.lower() for name in allowed_hosts}
    return not names.isdisjoint({endpoint.host, endpoint.host.strip("[]"), f"{endpoint.host}:{endpoint.port}"})


async def check(endpoint: Endpoint, allowed_hosts: frozenset[str]) -> Endpoint:
    """The endpoint with its addresses, all of which are public. Raises Forbidden and Unresolvable."""
    if allowed(endpoint, allowed_hosts):
        return endpoint
    address = literal(endpoint.host)
    addresses = (str(address),) if address else await resolve(endpoint.host, endpoint.port)
    if not all(public(address) for address in addresses):
        raise Forbidden(f"{endpoint.host} has an address that is not public.")
    return replace(endpoint, addresses=addresses)


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """All addresses of a host name. Raises Unresolvable."""
    try:
        async with asyncio.timeout(15):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise Unresolvable(f"The host {host} cannot be found.") from None
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def public(text: str) -> bool:
    """Whether an address is on the public internet, also when it wraps another one (mapped, 6to4, Teredo, NAT64)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id or any(address in network for network in _FORBIDDEN_V6):
            return address.ipv4_mapped is not None and public(str(address.ipv4_mapped))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return public(str(inner))
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_loopback or address.is_unspecified or address.is_link_local
    )


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host of a URL spells out, in the one spelling that is understood. Raises InvalidAddress."""
    try:
        return ipaddress.IPv6Address(host[1:-1]) if host.startswith("[") else ipaddress.IPv4Address(host)
    except ValueError:
        if host.startswith("["):
            raise InvalidAddress(f"{host} is not an IPv6 address.") from None
        return None
