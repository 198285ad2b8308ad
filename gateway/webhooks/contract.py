"""What a webhook provider is, as data."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from models import GitProvider
from schema.pushes import Notice

Headers = Mapping[str, str]
"""Of a request, found without regard to case."""
LONGEST_EVENT: Final = 100
_DELIVERY: Final = re.compile(r"[\x21-\x7d]{1,128}")


@dataclass(frozen=True)
class Provider:
    """A sender of webhooks. Where several headers are named, the first one that is there counts."""

    name: GitProvider
    title: str
    signature: tuple[str, ...]
    """The headers by which it proves that it knows the secret."""
    event: tuple[str, ...]
    """Those that name the kind of event."""
    delivery: tuple[str, ...]
    """Those that name the delivery; the same again when it is sent again."""
    verify: Callable[[str, bytes, bytes], bool]
    """Whether a value of the signature's header fits a raw body and a secret, in constant time."""
    parse: Callable[[str, bytes], Notice]
    """What an event with such a JSON document tells. Raises `msgspec.DecodeError`, `UnicodeDecodeError` or `RecursionError`
    for one that makes no sense."""

    def verifies(self, headers: Headers, body: bytes, secret: bytes) -> bool:
        """Whether a request was sent by somebody who knows a secret; an empty one is known by nobody."""
        given = found(headers, self.signature)
        return bool(secret) and given is not None and self.verify(given, body, secret)

    def event_of(self, headers: Headers) -> str:
        """The kind of event, empty when none is named."""
        return (found(headers, self.event) or "")[:LONGEST_EVENT]

    def delivery_of(self, headers: Headers) -> str | None:
        """What the sender calls the delivery; None when it has no name, or one that nobody would give it."""
        given = found(headers, self.delivery)
        return given if given is not None and _DELIVERY.fullmatch(given) else None


def found(headers: Headers, names: tuple[str, ...]) -> str | None:
    """The value of the first of some headers that is there."""
    return next((headers[name] for name in names if name in headers), None)
