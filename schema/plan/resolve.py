"""Fetching by rows: each declared source of a field as a graphql-core resolver over Tortoise rows and batch loaders."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from graphql import GraphQLResolveInfo, GraphQLSchema, get_named_type, is_object_type
from strawberry.dataloader import DataLoader
from tortoise import fields
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from schema.context import Context
from schema.fields import Computed, Count, Entity, Listing, One, WrongDeclaration, columns_of, entity_of
from schema.inputs import clean, refuse
from schema.page import Cursor, Direction, Page, Slice, SortOrder, Window, decode_cursor, paged, relay_window

Resolver = Callable[..., Awaitable[Any]]


def attach(schema: GraphQLSchema, entities: Mapping[str, Entity]) -> None:
    """Give each declared field of the schema its resolver; `entities` are found by the names of their types."""
    for type_ in schema.type_map.values():
        if not is_object_type(type_):
            continue
        for field in type_.fields.values():
            definition = field.extensions.get("strawberry-definition")
            source = definition.metadata.get("source") if definition else None
            if source is not None:
                named = get_named_type(field.type)
                if isinstance(source, Listing):
                    named = get_named_type(named.fields["nodes"].type)
                _check(f"{type_.name}.{definition.python_name}", source, entities.get(type_.name), entities.get(named.name))
                field.resolve = _resolver(source, entities.get(named.name))


def _check(name: str, source: Any, owner: Entity | None, target: Entity | None) -> None:
    """Raise `WrongDeclaration` when a relation's column is not where it must be."""
    if not isinstance(source, One | Listing):
        return
    if target is None:
        raise WrongDeclaration(f"{name}: a relation leads to an entity")
    holder = owner if isinstance(source, One) and not source.order else target
    if holder is None or source.fk not in columns_of(holder.model):
        raise WrongDeclaration(f"{name}: no column '{source.fk}' in {holder.model.__name__ if holder else 'it'}")


def _resolver(source: Any, entity: Entity | None) -> Resolver:
    match source:
        case Computed():
            return _computed(source)
        case One() if entity:
            return _one(source, entity)
        case Listing() if entity:
            return _related(source, entity)
        case Count():
            return _count(source)
        case _:
            return _group


def _computed(source: Computed) -> Resolver:
    async def resolve(root: Any, info: GraphQLResolveInfo[Context]) -> Any:
        values = tuple(getattr(root, column) for column in source.columns)
        if not source.batch:
            return source.function(*values)
        context: Context = info.context

        async def load(keys: list[tuple[Any, ...]]) -> list[Any]:
            found: list[Any] = await source.function(context, keys)
            return found

        return await context.loader(source, lambda: DataLoader(load_fn=load)).load(values)

    return resolve


def _one(source: One, entity: Entity) -> Resolver:
    child = bool(source.order)

    async def load(keys: list[UUID]) -> list[Any]:
        if child:
            living = entity.model.filter(**entity.living)
            return [await living.filter(**{source.fk: key}).order_by(source.order).first() for key in keys]
        rows = {row.pk: row for row in await entity.model.filter(id__in=keys)}
        return [rows.get(key) for key in keys]

    async def resolve(root: Any, info: GraphQLResolveInfo[Context]) -> Any:
        key = root.id if child else getattr(root, source.fk)
        if key is None:
            return None
        context: Context = info.context
        return await context.loader((entity.title, source), lambda: DataLoader(load_fn=load)).load(key)

    return resolve


def _count(source: Count) -> Resolver:
    async def resolve(root: Any, info: GraphQLResolveInfo[Context]) -> int:
        entity = entity_of(source.of())
        found: int = await entity.model.filter(**entity.living, **{source.fk: root.id}).count()
        return found

    return resolve


async def _group(root: Any, info: GraphQLResolveInfo[Context]) -> Any:
    return root


def _related(source: Listing, entity: Entity) -> Resolver:
    async def resolve(
        root: Any,
        info: GraphQLResolveInfo[Context],
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Page[Any]:
        rows = entity.model.filter(**entity.living, **{str(source.fk): root.id})
        return await page_of(entity, source, rows, relay_window(first, after, last, before))

    return resolve


def _beyond(column: str, descending: bool, cursor: Cursor, value: Any) -> Q:
    """The rows that come after a cursor. NULL counts as the greatest value, as Postgres sorts it in both directions."""
    further = "lt" if descending else "gt"
    same: dict[str, Any] = {f"id__{further}": UUID(cursor.id)}
    beyond: dict[str, Any] = {f"{column}__{further}": value}
    null: dict[str, Any] = {f"{column}__isnull": True}
    given: dict[str, Any] = {f"{column}__isnull": False}
    equal: dict[str, Any] = {column: value}
    if value is None:
        tied = Q(**null) & Q(**same)
        return tied | Q(**given) if descending else tied
    after = Q(**beyond) | (Q(**equal) & Q(**same))
    return after if descending else after | Q(**null)


def _key(entity: Entity, column: str, text: str | None, window: Window) -> Any:
    """The value of a cursor's sort key."""
    if text is None:
        return None
    kind = entity.model._meta.fields_map[column]
    try:
        if not clean(text):
            raise ValueError
        if isinstance(kind, fields.DatetimeField):
            return datetime.fromisoformat(text).astimezone(UTC)
        value = kind.to_python_value(text)
        if isinstance(value, int) and abs(value) >= 2**31:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        refuse(window.argument, "cursor", "is not a cursor of this list", window.cursor)
    return value


def _text(value: Any) -> str | None:
    return None if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)


async def page_of(
    entity: Entity,
    listing: Listing,
    rows: QuerySet[Any],
    window: Window,
    *,
    sort: str | None = None,
    order: SortOrder | None = None,
) -> Page[Any]:
    """A page of `rows`, by keyset: the rows beyond the cursor in the direction of travel."""
    column = sort or listing.default.lstrip("-")
    natural = listing.default.startswith("-") if sort is None else column.endswith("_at")
    descending = natural if order is None else order is SortOrder.desc
    name, sorted_by = entity.singular, f"{'-' if descending else ''}{column}"
    travel = descending is (window.direction is Direction.forward)
    query = rows
    if window.cursor is not None:
        cursor = decode_cursor(window.cursor, of=name, sort=sorted_by, argument=window.argument)
        query = query.filter(_beyond(column, travel, cursor, _key(entity, column, cursor.key, window)))
    sign = "-" if travel else ""
    found = await query.order_by(f"{sign}{column}", f"{sign}id").limit(window.size + 1)
    more, found = len(found) > window.size, found[: window.size]
    if window.direction is Direction.forward:
        part = Slice(found, before=window.cursor is not None, after=more)
    else:
        part = Slice(found[::-1], before=more, after=window.cursor is not None)

    def place(row: Any, way: str) -> str:
        return Cursor(of=name, sort=sorted_by, key=_text(getattr(row, column)), id=str(row.pk), way=way).encoded()

    async def counted() -> int:
        return await rows.count()

    return paged(part, window, place, counted)
