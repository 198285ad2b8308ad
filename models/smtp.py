"""The SMTP server for e-mail, as the administrator names it."""

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

_PORTS: Final = MappingProxyType({"smtp": 587, "smtps": 465})
_ATOM: Final = r"[!#-'*+/-9=?A-Z^-~-]+"
ADDRESS: Final = rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
"""The pattern of an address in which no mail server finds another one, or more than one."""
_FORM: Final = "must be like smtp://user:password@host:587 or smtps://user:password@host:465"


@dataclass(frozen=True, slots=True)
class Smtp:
    """A server, and how it is spoken to."""

    host: str
    port: int
    tls: bool
    """Whether TLS is spoken from the start. Otherwise it is begun where the server offers it, and must be before a password is sent."""
    username: str = ""
    """Whom to log in as; empty is nobody."""
    password: SecretStr = field(default=SecretStr(""), repr=False)


def smtp(url: str) -> Smtp | None:
    """The server that a setting names as a URL, with user and password encoded as in any URL; empty is none.

    Raises ValueError, whose words hold nothing of the URL: a password stands in it.
    """
    url = url.strip()
    if not url:
        return None
    parts, port = _parts(url)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise ValueError("needs a user and a password, or neither")
    if not (both := f"{username}{password}").isascii() or not both.isprintable():
        raise ValueError("may have nothing but printable ASCII in user and password")
    return Smtp(parts.hostname or "", port, parts.scheme == "smtps", username, SecretStr(password))


def _parts(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        raise ValueError(_FORM) from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(_FORM)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{_FORM}, in ASCII without blanks")
    if given == 0:
        raise ValueError("must have a port from 1 to 65535")
    return parts, given or _PORTS[parts.scheme]


def address(value: str) -> str:
    """An address that e-mail can come from, or nothing. Raises ValueError for anything else."""
    if value and not is_address(value):
        raise ValueError("must be an e-mail address like dokploy@example.com")
    return value


def is_address(value: str) -> bool:
    """Whether e-mail can come from there and go there."""
    return len(value) <= 254 and re.fullmatch(ADDRESS, value) is not None
