"""One function for each kind of field: what it adds to the SELECT of its row, and the expression that shows it."""

import re
from typing import Any

from graphql import get_named_type, is_non_null_type

from schema.access import Role
from schema.fields import Column, Computed, Count, Entity, Extreme, Group, One, Realm
from schema.plan.build import Build, Emit, Place, Sight, inherits, living
from schema.plan.catalog import Declared, column_kind
from schema.plan.plain import computing, projection
from schema.plan.select import Selected
from schema.plan.values import decoder, reader

TALLIED = frozenset({"application", "deployment"})
"""Tables whose living rows are counted per project in the writing transaction."""


def object_of(build: Build, type_: Any, sets: list[Any], place: Place) -> str:
    """The expression of an object of a row: a dict display."""
    named = get_named_type(type_)
    parts = []
    for item in build.select(named, sets, place.rows.most):
        if item.name == "__typename":
            shown = repr(named.name)
        elif item.key == "_links" and build.links:
            shown = _links(build, place)
        else:
            declared = build.catalog.fields[named.name, item.name]
            shown = build.sources[type(declared.source)](build, place, item, declared)
        parts.append(f"{item.key!r}: {shown}")
    return "{" + ", ".join(parts) + "}"


def _links(build: Build, place: Place) -> str:
    parts = []
    for link in build.links:
        fixed = re.split(r"{\w+}", link.path)
        keys = ["{" + place.rows.column(f"{place.alias}.{column}") + "}" for column in link.columns]
        parts.append(f"{link.name!r}: f{''.join(part + key for part, key in zip(fixed, [*keys, ''], strict=True))!r}")
    return "{" + ", ".join(parts) + "}"


def checked(build: Build, place: Place, needs: Role, shown: str, *, consumed: bool = False) -> str:
    """An expression under the role that it takes where the row lives; a consumed one must run for every row."""
    if needs <= Role.viewer or build.sight is Sight.everything:
        return shown
    roles = "seen.team_roles" if place.entity.realm is Realm.team else "seen.project_roles"
    holds = f"{roles}.get({place.rows.column(f'{place.alias}.{place.entity.scope}')}, 0) >= {int(needs)}"
    return f"allowed({holds}, {shown}, trouble)" if consumed else f"({shown} if {holds} else forbidden(trouble))"


def stored(build: Build, place: Place, item: Selected, declared: Declared) -> str:
    """A column as it is."""
    needs = declared.source.needs if isinstance(declared.source, Column) else Role.viewer
    column = place.rows.column(f"{place.alias}.{declared.python_name}")
    decode = decoder(column_kind(place.entity, declared.python_name))
    if decode is not None:
        column = f"{computing(build, item.type, item.sets, '', [decode], place.rows.most)}(trouble, {column})"
    return checked(build, place, needs, column)


def computed(build: Build, place: Place, item: Selected, declared: Declared) -> str:
    """A function of columns; a batch one runs once for all rows, when the connection has been given back."""
    source = declared.source
    if not isinstance(source, Computed):
        raise TypeError(declared.name)
    columns = [place.rows.column(f"{place.alias}.{name}") for name in source.columns]
    decoders = [reader(column_kind(place.entity, name)) for name in source.columns]
    function = build.code.constant(source.function)
    if not source.batch:
        function = computing(build, item.type, item.sets, function, decoders, place.rows.most)
        return checked(build, place, source.needs, f"{function}({', '.join(['trouble', *columns])})")
    build.charge(place.rows.most)
    found, project = build.code.name("b"), projection(build, item.type, item.sets, place.rows.most)

    def island(rows: str) -> None:
        read = [f"{build.code.constant(decode)}({column})" if decode else column for column, decode in zip(columns, decoders, strict=True)]
        keys = f"[({', '.join(read)},) for r in {rows}{place.guard}]"
        build.code.islands.append(f"{found} = await batch({function}, context, trouble, {keys})")

    place.rows.children.append(island)
    return checked(build, place, source.needs, f"{project}(next({found}), trouble)", consumed=True)


def one(build: Build, place: Place, item: Selected, declared: Declared) -> str:
    """The row that this one points to, or the first of those that point here: a join."""
    source, target = declared.source, declared.target
    if not isinstance(source, One) or target is None:
        raise TypeError(declared.name)
    alias, rows = build.code.name("t"), place.rows
    if source.order:
        build.charge(rows.most)
        column, way = source.order.lstrip("-"), " desc" if source.order.startswith("-") else ""
        seen = living(target, "y") + build.visible(rows, target, "y")
        first = f"select * from {target.table} y where y.{source.fk} = {place.alias}.id{seen} order by y.{column}{way} limit 1"
        rows.joins.append(f"left join lateral ({first}) {alias} on true")
    else:
        seen = build.visible(rows, target, alias, inherited=inherits(target, source.fk, place.entity))
        rows.joins.append(f"left join {target.table} {alias} on {alias}.id = {place.alias}.{source.fk}{seen}")
    present = f"{rows.column(f'{alias}.id')} is not None"
    guard = f"{place.guard} and {present}" if place.guard else f" if {present}"
    inside = Place(rows, alias, target, guard)
    shown = object_of(build, item.type, item.sets, inside)
    return f"({shown} if {present} else {'absent(trouble)' if is_non_null_type(item.type) else None})"


def aggregate(build: Build, place: Place, item: Selected, declared: Declared) -> str:
    """A count, or the smallest or largest value, of the rows that point here: a sub-select, or the counter that is kept."""
    source, target = declared.source, declared.target
    if not isinstance(source, Count | Extreme) or target is None:
        raise TypeError(declared.name)
    build.charge(place.rows.most)
    if isinstance(source, Count) and is_tallied(source.fk, target):
        return tallied(place, target)
    what = "count(*)" if isinstance(source, Count) else f"{source.kind}(n.{source.column})"
    inherited = inherits(place.entity, source.fk, target)
    seen = living(target, "n") + build.visible(place.rows, target, "n", inherited=inherited)
    return place.rows.column(f"(select {what} from {target.table} n where n.{source.fk} = {place.alias}.id{seen})")


def is_tallied(fk: str | None, target: Entity) -> bool:
    """Whether the rows that point here by a column are counted already."""
    return fk == target.scope and target.table in TALLIED


def tallied(place: Place, target: Entity) -> str:
    """The expression of a project's kept counter."""
    return place.rows.column(f"coalesce((select n.{target.table} from tally n where n.project_id = {place.alias}.id), 0)")


def group(build: Build, place: Place, item: Selected, declared: Declared) -> str:
    """An object of the same row."""
    return object_of(build, item.type, item.sets, place)


SOURCES: dict[type, Emit] = {
    type(None): stored,
    Column: stored,
    Computed: computed,
    One: one,
    Count: aggregate,
    Extreme: aggregate,
    Group: group,
}
