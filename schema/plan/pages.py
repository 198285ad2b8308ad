"""Lists: one statement for a root page, one for the pages of all parents together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from schema.fields import Entity, Listing, Realm
from schema.inputs import checked, refuse, uuid_of
from schema.names import api_name
from schema.page import MOST_COUNTED, Direction, Search, Window, relay_window
from schema.plan.build import Build, Place, Rows
from schema.plan.keyset import Order, cursor, order_of
from schema.plan.select import Selected
from schema.plan.sources import object_of

_OPERATORS = {"=": "= {}", "in": "= any({})", ">=": ">= {}", "<=": "<= {}"}


@dataclass(frozen=True)
class Asked:
    """What a page asks for, as far as it is known when its plan is compiled."""

    item: Selected
    listing: Listing
    target: Entity
    window: Window
    order: Order
    cursor: str | None
    """The expression of the cursor's text."""
    narrowed: bool
    """Whether counting stops early: filters or a search apply, or it is a list without kept counters that has no end."""

    @property
    def forward(self) -> bool:
        """Whether the page goes the list's own way."""
        return self.window.direction is Direction.forward


def asked(build: Build, item: Selected, listing: Listing, target: Entity, name: str) -> Asked:
    """Read the arguments that a plan depends on. Raises `ValidationFailed`."""
    known = {each: item.arguments[each].constant for each in ("first", "last", "sort", "order") if each in item.arguments}
    texts = {each: build.value(item, each) for each in ("after", "before")}
    window = relay_window(known.get("first"), texts["after"], known.get("last"), texts["before"])
    sort = known.get("sort")
    order = order_of(name, listing, sort.value if sort else None, known.get("order"), window.direction)
    window = Window(window.size, window.direction, window.cursor, build.words.get(window.argument, window.argument))
    narrowing = {*map(api_name, listing.filters), "search"} & set(item.arguments)
    return Asked(item, listing, target, window, order, window.cursor, bool(narrowing) or target.realm is Realm.installation)


def filtered(build: Build, rows: Rows, asked: Asked, alias: str) -> str:
    """The conditions of the filters and the search."""
    found = ""
    for name, each in asked.listing.filters.items():
        value = build.value(asked.item, api_name(name))
        if value is None:
            continue
        read = {UUID: partial(_id, api_name(name)), str: partial(checked, str, api_name(name))}.get(each.type)
        value = _argument(build, value, read) if read else value
        found += f" and {alias}.{each.column} {_OPERATORS[each.operator].format(rows.bind(value))}"
    text = build.value(asked.item, "search") if asked.listing.search else None
    if text is not None:
        words = rows.bind(_argument(build, text, partial(checked, Search, "search")))
        found += f" and trigrams({alias}.name) @> trigrams({words}) and position(lower({words}) in lower({alias}.name)) > 0"
    return found


def _argument(build: Build, value: str, read: Callable[[Any], Any]) -> str:
    """Read an argument before anything is fetched; the name of what was read."""
    name = build.code.name("a")
    build.code.arguments.append(f"{name} = {build.code.constant(read)}({value})")
    return name


def _id(name: str, value: Any) -> UUID:
    return uuid_of(value) or refuse(name, "type", "must be a valid id", value)


def cut(rows: list[Any], size: int, backward: bool) -> tuple[bool, list[Any]]:
    """Whether there is more on the way, and the rows of the page in the list's own order."""
    found = rows[:size]
    return len(rows) > size, found[::-1] if backward else found


def parted(rows: list[Any], parents: int, size: int, backward: bool) -> list[tuple[bool, list[Any]]]:
    """The pages of all parents; each row ends with the position of its parent."""
    found: list[list[Any]] = [[] for _ in range(parents)]
    for row in rows:
        found[row[-1]].append(row)
    return [cut(each, size, backward) for each in found]


def page_object(build: Build, asked: Asked, rows: Rows, total: Callable[[], str]) -> str:
    """The expression of a page over `more`, its `rows`, and `total` when it is asked for."""
    named, pages = asked.item.named, rows.most // max(asked.window.size, 1)
    parts = []
    for item in build.select(named, asked.item.sets, pages):
        place = Place(rows, "t", asked.target)
        match item.name:
            case "nodes":
                shown = f"[{object_of(build, item.type, item.sets, place)} for r in rows]"
            case "edges":
                shown = f"[{_edge(build, asked, item, place)} for r in rows]"
            case "pageInfo":
                shown = _fields(build, item, _page_info(build, asked, rows), pages)
            case "pagination":
                shown = _fields(build, item, _pagination(build, asked, rows) | _totals(asked, "total", total), pages)
            case _:
                own: Parts = {"__typename": lambda each: repr(named.name)}
                shown = (own | _totals(asked, "totalCount", total))[item.name](item)
        parts.append(f"{item.key!r}: {shown}")
    return "{" + ", ".join(parts) + "}"


Parts = dict[str, Callable[[Selected], str]]
"""What makes the expressions of an object's fields, by name."""


def _fields(build: Build, item: Selected, parts: Parts, times: int) -> str:
    named = item.named
    found = [
        (each.key, repr(named.name) if each.name == "__typename" else parts[each.name](each))
        for each in build.select(named, item.sets, times)
    ]
    return "{" + ", ".join(f"{key!r}: {shown}" for key, shown in found) + "}"


def _edge(build: Build, asked: Asked, item: Selected, place: Place) -> str:
    parts: Parts = {
        "node": lambda each: object_of(build, each.type, each.sets, place),
        "cursor": lambda each: cursor(build, place.rows, asked.order, "", "r"),
    }
    return _fields(build, item, parts, place.rows.most)


def _totals(asked: Asked, count: str, total: Callable[[], str]) -> Parts:
    if not asked.narrowed:
        return {count: lambda each: total(), "totalCapped": lambda each: "False"}
    return {count: lambda each: f"min({total()}, {MOST_COUNTED})", "totalCapped": lambda each: f"{total()} > {MOST_COUNTED}"}


def _page_info(build: Build, asked: Asked, rows: Rows) -> Parts:
    begun = repr(asked.cursor is not None)
    return {
        "hasNextPage": lambda each: "more" if asked.forward else begun,
        "hasPreviousPage": lambda each: begun if asked.forward else "more",
        "startCursor": lambda each: f"({cursor(build, rows, asked.order, '', 'rows[0]')} if rows else None)",
        "endCursor": lambda each: f"({cursor(build, rows, asked.order, '', 'rows[-1]')} if rows else None)",
    }


def _pagination(build: Build, asked: Asked, rows: Rows) -> Parts:
    begun = repr(asked.cursor is not None)
    after, before = ("more", begun) if asked.forward else (begun, "more")
    return {
        "hasMore": lambda each: "more",
        "nextCursor": lambda each: f"({cursor(build, rows, asked.order, 'f', 'rows[-1]')} if rows and {after} else None)",
        "prevCursor": lambda each: f"({cursor(build, rows, asked.order, 'b', 'rows[0]')} if rows and {before} else None)",
    }
