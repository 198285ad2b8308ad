"""The scalars that both APIs print in the same way."""

from datetime import UTC, datetime
from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig


def instant(value: Any) -> str:
    """RFC 3339 in UTC with `Z`, to the second when there is nothing below it."""
    if not isinstance(value, datetime):
        raise ValueError(f"{value!r} is not a time")
    text = value.astimezone(UTC).isoformat(timespec="seconds" if value.microsecond == 0 else "milliseconds")
    return text.replace("+00:00", "Z")


def parse_instant(value: Any) -> datetime:
    """A time with a zone, from RFC 3339."""
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ValueError("A time is written like 2024-12-30T10:00:00Z") from error
    if parsed.tzinfo is None:
        raise ValueError("A time needs a zone, as in 2024-12-30T10:00:00Z")
    return parsed


CONFIG = StrawberryConfig(
    scalar_map={datetime: strawberry.scalar(name="DateTime", description="RFC 3339, UTC.", serialize=instant, parse_value=parse_instant)}
)
