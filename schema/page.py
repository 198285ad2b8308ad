"""Pages: the specification's `data` and `pagination`, and the same as a Relay connection (DECISIONS 7)."""

import base64
import binascii
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
import strawberry

from schema.inputs import refuse
from schema.names import api_name
from schema.rules import Between, Length

DEFAULT_SIZE = 20
LARGEST = 100
MOST_COUNTED = 10_000
"""How far a filtered list is counted (DECISIONS 7)."""

T = TypeVar("T")

Limit = Annotated[int, Between(1, LARGEST)]
Search = Annotated[str, Length(0, 255)]
"""A part of a name."""


@strawberry.enum
class SortOrder(Enum):
    """The direction of a sort."""

    asc = "asc"
    desc = "desc"


def sorting(singular: str, *columns: str) -> Any:
    """The enum of the columns that lists of something can be sorted by: `sorting("application", "created_at", "name")`."""
    members = Enum(f"{singular[:1].upper()}{singular[1:]}Sort", {api_name(column): column for column in columns})  # type: ignore[misc]
    return strawberry.enum(members, description=f"What {singular}s can be sorted by.")


class Direction(Enum):
    """Which way a page travels from its cursor."""

    forward = "f"
    backward = "b"


Way = Literal["", "f", "b"]
"""Where a cursor of REST leads, forward or backward; in GraphQL the argument says it."""


class Cursor(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A place in one list under one sort; `way` is set in REST, where the cursor alone carries the direction."""

    of: str
    sort: str
    key: str | None
    id: str
    way: Way = ""

    def encoded(self) -> str:
        """The cursor as clients see it."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()


def decode_cursor(text: str, *, of: str, sort: str, argument: str) -> Cursor:
    """The place a cursor names.

    Raises `ValidationFailed` on `argument` when it does not parse strictly or belongs to another list or sort.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
        UUID(cursor.id)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        refuse(argument, "cursor", "is not a cursor of this list", text)
    if cursor.of != of or cursor.sort != sort or cursor.encoded() != text:
        refuse(argument, "cursor", "is not a cursor of this list", text)
    return cursor


@dataclass(frozen=True)
class Window:
    """How much of a list is asked for, from where and in which direction."""

    size: int = DEFAULT_SIZE
    direction: Direction = Direction.forward
    cursor: str | None = None
    argument: str = "cursor"


def relay_window(first: int | None, after: str | None, last: int | None, before: str | None) -> Window:
    """The window that Relay's four arguments describe. Raises `ValidationFailed`."""
    backward = last is not None or before is not None
    if backward and (first is not None or after is not None):
        refuse("last", "exclusive", "and before cannot be used together with first and after")
    size, name = (last, "last") if backward else (first, "first")
    if size is not None and not 1 <= size <= LARGEST:
        refuse(name, "range", f"must be between 1 and {LARGEST}", size)
    return Window(
        size or DEFAULT_SIZE,
        Direction.backward if backward else Direction.forward,
        before if backward else after,
        "before" if backward else "after",
    )


def rest_window(limit: int, cursor: str | None) -> Window:
    """The window that `limit` and `cursor` describe; which way to go is part of the cursor. Raises `ValidationFailed`."""
    direction = Direction.forward
    if cursor is not None:
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            direction = Direction(msgspec.json.decode(raw, type=Cursor).way)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            refuse("cursor", "cursor", "is not a cursor of this list", cursor)
    return Window(limit, direction, cursor, "cursor")


@strawberry.type
class PageInfo:
    """Relay's page information."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Pagination:
    """The specification's page information: cursors that know which way to go, and how many rows there are, or are at least."""

    has_more: bool
    next_cursor: str | None
    prev_cursor: str | None
    total: int
    total_capped: bool


@strawberry.type
class Edge(Generic[T]):
    """A row and its place in the list."""

    cursor: str
    node: T


@strawberry.type(name="Connection")
class Page(Generic[T]):
    """A part of a list; `totalCount` are there on all pages, or more when it is capped."""

    nodes: list[T]
    edges: list[Edge[T]]
    page_info: PageInfo
    pagination: Pagination
    total_count: int
    total_capped: bool
