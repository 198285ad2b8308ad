"""Compile: flat selections to a plan, that is SQL with only the selected columns, and one generated function that shows the rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, OperationDefinitionNode, get_named_type, is_leaf_type, is_non_null_type

from schema.access import Role
from schema.documents.introspection import ROOTS, introspected
from schema.errors import Forbidden, Unauthorized
from schema.fields import Listing
from schema.links import Link
from schema.operation import Operation
from schema.plan import values as showing
from schema.plan.build import Build, Emit, Sight
from schema.plan.catalog import Catalog
from schema.plan.lists import get, node, nodes, related_page, root_page, row
from schema.plan.plain import shown
from schema.plan.select import Scope, Selected
from schema.plan.sources import SOURCES

RUNTIME: dict[str, Any] = {name: getattr(showing, name) for name in ("absent", "failed", "odd", "forbidden", "allowed", "batch")}
"""What generated source may call."""

EMITTERS: Mapping[type, Emit] = SOURCES | {Listing: related_page}


@dataclass(frozen=True)
class Function:
    """A generated function with its source and its statements."""

    run: Callable[..., Any]
    source: str
    statements: tuple[str, ...]
    sees: bool
    """Whether it asks what the caller may see."""
    check: Callable[[Mapping[str, Any]], None]
    """Reads the arguments and fetches nothing; raises `ValidationFailed`."""
    cost: int
    """Rows and sub-selects at most."""
    values: int
    """What is shown, as far as that is known before: fields of rows and of plain objects."""

    @property
    def pure(self) -> bool:
        """Whether what it shows depends on nothing but the value."""
        return not (self.statements or self.sees)


@dataclass(frozen=True)
class Ask:
    """A root field whose value an operation's own function makes; the answer shows it."""

    key: str
    operation: Operation[Any]
    node: FieldNode
    required: bool
    answer: Function


@dataclass(frozen=True)
class Plan:
    """What a document does, for one shape of its variables and one sight."""

    keys: tuple[str, ...]
    """The response keys of the root, in order."""
    reads: Function | None
    asks: tuple[Ask, ...]
    introspects: bool
    cost: int
    values: int

    @property
    def weight(self) -> int:
        """In characters."""
        return sum(len(each.source) + sum(map(len, each.statements)) for each in (self.reads, *(ask.answer for ask in self.asks)) if each)


def _build(catalog: Catalog, scope: Scope, sight: Sight, links: tuple[Link, ...], words: Mapping[str, str]) -> Build:
    return Build(catalog, scope, sight, EMITTERS, links, words)


def _function(build: Build, result: str) -> Function:
    source = build.code.source(result)
    names = RUNTIME | build.code.constants
    exec(compile(source, "<plan>", "exec"), names)  # noqa: S102 (made of names and constants of ours only)
    return Function(
        names["plan"], source, tuple(build.statements), "seen." in source, names.get("check", _nothing), build.cost, build.values
    )


def _nothing(values: Mapping[str, Any]) -> None:
    """Check a plan without arguments."""


def compiled(
    catalog: Catalog,
    scope: Scope,
    operation: OperationDefinitionNode,
    sight: Sight,
    *,
    links: tuple[Link, ...] = (),
    words: Mapping[str, str] | None = None,
) -> Plan:
    """Compile an operation of a document that is valid. Raises `ValidationFailed` for arguments that no page can have."""
    kind = operation.operation.value
    root = catalog.root(kind)
    build = _build(catalog, scope, sight, links, words or {})
    parts, asks, keys, introspects = [], [], [], False
    for item in scope.select(root, [operation.selection_set]):
        keys.append(item.key)
        if item.name in ROOTS:
            introspects = True
            build.values += introspected(catalog.schema, scope, item)
        elif item.name == "__typename":
            parts.append(f"{item.key!r}: {root.name!r}")
        elif (part := _read(build, item, kind)) is not None:
            parts.append(f"{item.key!r}: {part}")
        elif item.field is not None:
            asked = catalog.operations[kind, item.name]
            answer = answered(catalog, scope, item.type, item.sets, sight, links=links, items=_items(asked, item))
            asks.append(Ask(item.key, asked, item.nodes[0], is_non_null_type(item.type), answer))
    reads = _function(build, "{" + ", ".join(parts) + "}") if parts else None
    cost, values = build.cost + sum(ask.answer.cost for ask in asks), build.values + sum(ask.answer.values for ask in asks)
    return Plan(tuple(keys), reads, tuple(asks), introspects, cost, values)


def _read(build: Build, item: Selected, kind: str) -> str | None:
    """The expression of a root field that is read by the plan, or None when a function of its own answers it."""
    operation = build.catalog.operations.get((kind, item.name))
    needs = Role.member if operation is None else operation.needs
    if operation is not None and operation.handler is not None:
        return None
    if needs > Role.anonymous and build.sight is Sight.nothing:
        return f"{build.code.constant(showing.failed)}({build.code.constant(Unauthorized)}(), trouble)"
    if needs >= Role.operator and build.sight is not Sight.everything:
        return f"{build.code.constant(showing.failed)}({build.code.constant(Forbidden)}(), trouble)"
    if operation is None:
        return node(build, item) if item.name == "node" else nodes(build, item)
    target = build.catalog.target(item.type)
    if target is None:
        raise TypeError(f"{operation.id} leads to no entity")
    if operation.listing is not None:
        return root_page(build, item, operation.listing, target, f"Query.{item.name}")
    return get(build, item, target)


def _items(operation: Operation[Any], item: Selected) -> int | None:
    """How many items an operation's function is asked for, or may answer with; None when that is not said."""
    given = item.arguments.get("limit")
    asked = next((given.constant if given else each.default for each in operation.signature.parameters if each.name == "limit"), None)
    return asked or operation.items


def answered(
    catalog: Catalog,
    scope: Scope,
    type_: Any,
    sets: list[Any],
    sight: Sight,
    *,
    links: tuple[Link, ...] = (),
    items: int | None = None,
) -> Function:
    """Compile what shows a value that an operation's function returned: a row, which is read again, or a plain object."""
    build = _build(catalog, scope, sight, links, {})
    build.items = items or build.items
    named = get_named_type(type_)
    if named.name in catalog.entities:
        return _function(build, _row(build, type_, sets, "value"))
    if is_leaf_type(named):
        return _function(build, shown(build, type_, sets, "value"))
    parts = []
    for item in build.select(named, sets, 1):
        if item.field is None:
            parts.append(f"{item.key!r}: {named.name!r}")
            continue
        attribute = f"value.{catalog.fields[named.name, item.name].python_name}"
        if get_named_type(item.type).name in catalog.entities:
            part = _row(build, item.type, item.sets, attribute)
        else:
            part = shown(build, item.type, item.sets, attribute)
        parts.append(f"{item.key!r}: {part}")
    return _function(build, "{" + ", ".join(parts) + "}")


def _row(build: Build, type_: Any, sets: list[Any], value: str) -> str:
    """The expression of the row that a function returned, as it is in the database now."""
    target = build.catalog.entities[get_named_type(type_).name]
    found, part = row(build, type_, sets, target, f"{value}.id", lambda rows: "", f"{value} is not None")
    nothing = "absent(trouble)" if is_non_null_type(type_) else "None"
    return f"([{part} for r in {found}] or [{nothing}])[0]"
