"""Order and cursors: a page begins beyond the sort key and the id of a row, never at an offset (DECISIONS 7).

NULL counts as the greatest value in both directions, as Postgres sorts it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from tortoise import fields

from schema.fields import Entity, Listing
from schema.inputs import clean, refuse
from schema.page import Cursor, Direction, SortOrder, Way, Window, decode_cursor
from schema.plan.build import Build, Rows
from schema.plan.catalog import column_kind


@dataclass(frozen=True)
class Order:
    """The order of a list, and the direction in which a page travels it."""

    of: str
    """The list that its cursors belong to."""
    column: str
    descending: bool
    backward: bool

    @property
    def name(self) -> str:
        """`-created_at`."""
        return f"{'-' if self.descending else ''}{self.column}"

    @property
    def falls(self) -> bool:
        """Whether keys become smaller on the way."""
        return self.descending is not self.backward

    def by(self, alias: str) -> str:
        """The ORDER BY of the way."""
        way = " desc" if self.falls else ""
        return f"{alias}.{self.column}{way}, {alias}.id{way}"


def order_of(name: str, listing: Listing, sort: str | None, order: SortOrder | None, direction: Direction) -> Order:
    """The order that was asked for, or the list's own."""
    column = sort or listing.default.lstrip("-")
    natural = listing.default.startswith("-") if sort is None else column.endswith("_at")
    descending = natural if order is None else order is SortOrder.desc
    return Order(name, column, descending, direction is Direction.backward)


def beyond(build: Build, rows: Rows, order: Order, window: Window, entity: Entity, value: str, alias: str) -> str:
    """The condition that a row comes after the cursor; `value` is the expression of its text."""
    kind = column_kind(entity, order.column)
    read = partial(read_cursor, of=order.of, sort=order.name, argument=window.argument, kind=kind)
    place = build.code.name("c")
    build.code.arguments.append(f"{place} = {build.code.constant(read)}({value})")
    key, id = rows.bind(f"{place}[0]"), rows.bind(f"{place}[1]")
    compared = f"({alias}.{order.column}, {alias}.id) {'<' if order.falls else '>'} ({key}, {id})"
    if not kind.null:
        return f" and {compared}"
    if order.falls:
        return f" and ({compared} or ({key} is null and ({alias}.{order.column} is not null or {alias}.id < {id})))"
    return f" and ({compared} or ({alias}.{order.column} is null and ({key} is not null or {alias}.id > {id})))"


def read_cursor(text: str, *, of: str, sort: str, argument: str, kind: fields.Field[Any]) -> tuple[Any, UUID]:
    """The sort key and the id that a cursor names. Raises `ValidationFailed`."""
    cursor = decode_cursor(text, of=of, sort=sort, argument=argument)
    try:
        value, id = _key(cursor.key, kind), UUID(cursor.id)
        if (_text(value), str(id)) != (cursor.key, cursor.id):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        refuse(argument, "cursor", "is not a cursor of this list", text)
    return value, id


def _key(text: str | None, kind: fields.Field[Any]) -> Any:
    if text is None and kind.null:
        return None
    if text is None or not clean(text):
        raise ValueError
    if isinstance(kind, fields.DatetimeField):
        return datetime.fromisoformat(text).astimezone(UTC)
    if isinstance(kind, fields.IntField):
        value = int(text)
        if abs(value) >= 2**31:
            raise ValueError
        return value
    return text


def _text(key: Any) -> str | None:
    return None if key is None else key.isoformat() if isinstance(key, datetime) else str(key)


def written(of: str, sort: str, way: Way, key: Any, id: UUID) -> str:
    """The cursor of a row."""
    return Cursor(of=of, sort=sort, key=_text(key), id=str(id), way=way).encoded()


def cursor(build: Build, rows: Rows, order: Order, way: Way, row: str) -> str:
    """The expression of the cursor of a row; `way` is set in REST."""
    write = build.code.constant(partial(written, order.of, order.name, way), "w")
    key, id = (rows.column(f"t.{name}").removeprefix("r") for name in (order.column, "id"))
    return f"{write}({row}{key}, {row}{id})"
