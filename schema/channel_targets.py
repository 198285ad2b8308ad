"""Where a channel leads: what is given, what is stored of it, and what is shown."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from models import ChannelType
from models.settings import settings
from models.smtp import ADDRESS
from schema.errors import Conflict
from schema.git_sources import MASK
from schema.inputs import refuse
from schema.rules import Length, Pattern

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_GROUP: Final = r"[0-9A-Fa-f]{1,4}"
_IPV6: Final = "|".join(
    (
        rf"(?:{_GROUP}:){{7}}{_GROUP}",
        rf"(?:{_GROUP}:){{1,7}}:",
        *(rf"(?:{_GROUP}:){{1,{before}}}(?::{_GROUP}){{1,{7 - before}}}" for before in range(1, 7)),
        rf":(?::{_GROUP}){{1,7}}",
        "::",
    )
)
_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"

HookUrl = Annotated[
    str,
    Pattern(
        rf"https?://(?:{_LABEL}(?:\.{_LABEL})*|\[(?:{_IPV6})\])(?::(?:{_PORT}))?(?:/[\x21-\x7e]*)?",
        "must be an http or https URL, without a user or password in it",
        10,
        2048,
    ),
    Field(examples=["https://hooks.example.com/services/T0/B0/x"]),
]
"""One that everything can take apart which has to: whoever shows it, and whoever posts to it."""
Recipient = Annotated[str, AfterValidator(str.lower), Pattern(ADDRESS, "must be an e-mail address", 3, 254)]
"""Stricter than the address of an account: what mail servers read as something else is none."""
Recipients = Annotated[list[Recipient], Length(1, 20, "items")]
NEEDS: Final[Mapping[ChannelType, str]] = MappingProxyType(
    {ChannelType.webhook: "url", ChannelType.slack: "url", ChannelType.email: "recipients"}
)
"""What each type is told by."""


def shown_url(target: dict[str, Any]) -> str | None:
    """The URL of a target with nothing in it that opens a door."""
    if (stored := target.get("url")) is None:
        return None
    parts = urlsplit(stored)
    return f"{parts.scheme}://{parts.netloc}/{MASK}"


def shown_recipients(target: dict[str, Any]) -> list[str]:
    """To whom a target's letters go."""
    return list(target.get("recipients", ()))


def target_of(type: ChannelType, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of where a channel of a type leads. Raises `ValidationFailed`, and `Conflict` for e-mail that nothing can send."""
    wanted = NEEDS[type]
    for name, value in given.items():
        if name == wanted and value is None:
            refuse(name, "required", f"is required for the type '{type}'")
        if name != wanted and value is not None:
            refuse(name, "unknown", f"is nothing that the type '{type}' has")
    if wanted == "url" and "url" in given and urlsplit(given["url"]).path == f"/{MASK}":
        refuse("url", "secret", "is masked, and there is none that was stored for this host")
    if type is ChannelType.email and settings().smtp_url is None:
        raise Conflict("No mail server is configured (DOKPLOY_SMTP_URL).", reason="SMTP_NOT_CONFIGURED")
    return {name: value for name, value in given.items() if name == wanted}
