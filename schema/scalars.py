"""The scalars that both APIs print in the same way."""

from datetime import UTC, datetime
from typing import Annotated, Any, NewType
from uuid import UUID

import strawberry
from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from strawberry.schema.config import StrawberryConfig

from schema.inputs import uuid_of


def instant(value: Any) -> str:
    """RFC 3339 in UTC with `Z`, to the microsecond when there is anything below a second: as msgspec writes a time."""
    if not isinstance(value, datetime):
        raise ValueError(f"{value!r} is not a time")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(value: Any) -> datetime:
    """A time with a zone, from RFC 3339."""
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is not None:
            parsed = parsed.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("A time is written like 2024-12-30T10:00:00Z") from error
    if parsed.tzinfo is None:
        raise ValueError("A time needs a zone, as in 2024-12-30T10:00:00Z")
    return parsed


def _checked(value: Any) -> datetime:
    try:
        return parse_instant(value)
    except ValueError as error:
        raise PydanticCustomError("time", "must be a time with a zone, as in 2024-12-30T10:00:00Z") from error


Instant = Annotated[datetime, PlainValidator(_checked), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as a query parameter, read as strictly as in GraphQL."""


def _id(value: Any) -> UUID:
    found = uuid_of(value)
    if found is None:
        raise PydanticCustomError("id_type", "must be a valid id")
    return found


Id = Annotated[UUID, PlainValidator(_id), WithJsonSchema({"type": "string", "format": "uuid"})]
"""An id as a query parameter, read as strictly as in GraphQL."""

BigInt = NewType("BigInt", int)
"""Bytes, and other numbers that GraphQL's own integers have no room for (DECISIONS 10)."""


def whole(value: Any) -> int:
    """An integer of 64 bits."""
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value!r} is no integer of 64 bits")
    return value


CONFIG = StrawberryConfig(
    scalar_map={
        datetime: strawberry.scalar(name="DateTime", description="RFC 3339, UTC.", serialize=instant, parse_value=parse_instant),
        BigInt: strawberry.scalar(name="BigInt", description="An integer of 64 bits.", serialize=whole, parse_value=whole),
    }
)
