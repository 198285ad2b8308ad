"""Fetching by rows: each declared source of a field as a graphql-core resolver over Tortoise rows and batch loaders."""

from asyncio import shield
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLResolveInfo
from strawberry.dataloader import DataLoader
from tortoise import fields
from tortoise.expressions import Q
from tortoise.functions import Max, Min
from tortoise.queryset import QuerySet

from schema.access import Role
from schema.context import Context
from schema.errors import Forbidden
from schema.fields import Column, Computed, Count, Entity, Extreme, Listing, One, Realm
from schema.inputs import checked, clean, parameter, refuse
from schema.names import api_name
from schema.page import MOST_COUNTED, Cursor, Direction, Edge, Page, PageInfo, Pagination, SortOrder, Window, decode_cursor, relay_window
from schema.plan.catalog import Catalog, Declared

Resolver = Callable[..., Awaitable[Any]]


def attach(catalog: Catalog) -> None:
    """Give each declared field of the schema its resolver."""
    titles = {entity.model: title for title, entity in catalog.entities.items()}
    for type_ in catalog.schema.type_map.values():
        if isinstance(type_, GraphQLInterfaceType):
            type_.resolve_type = lambda value, info, abstract: titles[type(value)]
        elif isinstance(type_, GraphQLObjectType):
            type_.is_type_of = None
            for name, found in type_.fields.items():
                declared = catalog.fields.get((type_.name, name))
                if declared is not None and declared.source is not None:
                    found.resolve = _resolver(declared)


@dataclass
class Loading(Context):
    """A request with its batch loaders."""

    loaders: dict[Hashable, DataLoader[Any, Any]] = field(default_factory=dict)

    def loader(self, key: Hashable, load: Callable[[list[Any]], Awaitable[list[Any]]]) -> DataLoader[Any, Any]:
        """The batch loader for one purpose."""
        return self.loaders.setdefault(key, DataLoader(load_fn=load))


def _resolver(declared: Declared) -> Resolver:
    match declared:
        case Declared(source=Column() as source, owner=Entity() as owner):
            return _allowed(source.needs, owner, _column(declared.python_name))
        case Declared(source=Computed() as source, owner=owner):
            return _allowed(source.needs, owner, _computed(source))
        case Declared(source=One() as source, target=Entity() as target):
            return _one(source, target)
        case Declared(source=Listing() as source, target=Entity() as target):
            return _related(declared.name, source, target)
        case Declared(source=Count() as source, target=Entity() as target):
            return _count(source, target)
        case Declared(source=Extreme() as source, target=Entity() as target):
            return _extreme(source, target)
        case _:
            return _group


def _allowed(needs: Role, owner: Entity | None, resolver: Resolver) -> Resolver:
    """Let through whoever has the role where the row lives; the others get `Forbidden` in place of the field."""
    if owner is None or needs <= Role.viewer:
        return resolver

    async def resolve(root: Any, info: GraphQLResolveInfo[Loading]) -> Any:
        if await info.context.role_for(owner, root) < needs:
            raise Forbidden
        return await resolver(root, info)

    return resolve


def _column(name: str) -> Resolver:
    async def resolve(root: Any, info: GraphQLResolveInfo[Loading]) -> Any:
        return getattr(root, name)

    return resolve


def _computed(source: Computed) -> Resolver:
    async def resolve(root: Any, info: GraphQLResolveInfo[Loading]) -> Any:
        values = tuple(getattr(root, column) for column in source.columns)
        if not source.batch:
            return source.function(*values)
        context = info.context

        async def load(keys: list[tuple[Any, ...]]) -> list[Any]:
            found: list[Any] = await source.function(context, keys)
            return found

        return await shield(context.loader(source, load).load(values))

    return resolve


async def _seen(context: Context, entity: Entity, *, living: bool = True) -> QuerySet[Any]:
    """The rows that a relation may lead to: people are seen by whoever sees what leads to them."""
    rows = entity.model.filter(**entity.living) if living else entity.model.all()
    if context.operator or entity.realm is Realm.person:
        return rows
    return rows.filter(**{f"{entity.scope}__in": list(await context.roles(entity.realm))})


def _one(source: One, entity: Entity) -> Resolver:
    child = bool(source.order)

    async def resolve(root: Any, info: GraphQLResolveInfo[Loading]) -> Any:
        key = root.id if child else getattr(root, source.fk)
        if key is None:
            return None
        context = info.context

        async def load(keys: list[UUID]) -> list[Any]:
            seen = await _seen(context, entity, living=child)
            if child:
                return [await seen.filter(**{source.fk: key}).order_by(source.order).first() for key in keys]
            rows = {row.pk: row for row in await seen.filter(id__in=keys)}
            return [rows.get(key) for key in keys]

        return await shield(context.loader((entity.title, source), load).load(key))

    return resolve


def _count(source: Count, target: Entity) -> Resolver:
    async def resolve(root: Any, info: GraphQLResolveInfo[Loading]) -> int:
        found: int = await (await _seen(info.context, target)).filter(**{source.fk: root.id}).count()
        return found

    return resolve


def _extreme(source: Extreme, target: Entity) -> Resolver:
    aggregate = {"min": Min, "max": Max}[source.kind]

    async def resolve(root: Any, info: GraphQLResolveInfo[Loading]) -> Any:
        rows = (await _seen(info.context, target)).filter(**{source.fk: root.id})
        return await rows.annotate(found=aggregate(source.column)).first().values_list("found", flat=True)

    return resolve


async def _group(root: Any, info: GraphQLResolveInfo[Loading]) -> Any:
    return root


def _related(name: str, source: Listing, target: Entity) -> Resolver:
    async def resolve(
        root: Any,
        info: GraphQLResolveInfo[Loading],
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        search: str | None = None,
        sort: Enum | None = None,
        order: SortOrder | None = None,
        **filters: Any,
    ) -> Page[Any]:
        rows = (await _seen(info.context, target)).filter(**{str(source.fk): root.id})
        sorted_by = sort.value if sort else None
        part = Part(relay_window(first, after, last, before), filters_given(source, filters), search, sorted_by, order)
        return await page_of(name, target, source, rows, part)

    return resolve


OPERATORS = {"=": "", "in": "__in", ">=": "__gte", "<=": "__lte"}


@dataclass(frozen=True)
class Part:
    """Which part of a list is asked for."""

    window: Window = field(default_factory=Window)
    filters: Mapping[str, Any] = field(default_factory=dict)
    """By argument; null filters nothing."""
    search: str | None = None
    sort: str | None = None
    order: SortOrder | None = None


def filters_given(listing: Listing, given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters among the arguments of a field. Raises `ValidationFailed` for a malformed id."""
    found = {name: given[api_name(name)] for name in listing.filters if given.get(api_name(name)) is not None}
    for name, value in found.items():
        if listing.filters[name].type is UUID:
            found[name] = parameter(UUID, api_name(name), value)
    return found


def _narrowed(rows: QuerySet[Any], listing: Listing, part: Part) -> QuerySet[Any]:
    for name, value in part.filters.items():
        declared = listing.filters[name]
        rows = rows.filter(**{f"{declared.column}{OPERATORS[declared.operator]}": value})
    return rows.filter(name__icontains=checked(str, "search", part.search)) if part.search else rows


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


@dataclass(frozen=True)
class Slice:
    """Rows that were fetched for a window, in the list's own order."""

    rows: list[Any]
    before: bool
    after: bool


def paged(found: Slice, window: Window, place: Callable[[Any, str], str], total: int, capped: bool) -> Page[Any]:
    """The page of a slice; `place(row, way)` makes a row's cursor."""
    rows = found.rows
    forward = window.direction is Direction.forward
    return Page(
        nodes=rows,
        edges=[Edge(cursor=place(row, ""), node=row) for row in rows],
        page_info=PageInfo(
            has_next_page=found.after,
            has_previous_page=found.before,
            start_cursor=place(rows[0], "") if rows else None,
            end_cursor=place(rows[-1], "") if rows else None,
        ),
        pagination=Pagination(
            has_more=found.after if forward else found.before,
            next_cursor=place(rows[-1], "f") if rows and found.after else None,
            prev_cursor=place(rows[0], "b") if rows and found.before else None,
            total=total,
            total_capped=capped,
        ),
        total_count=total,
        total_capped=capped,
    )


async def page_of(name: str, entity: Entity, listing: Listing, rows: QuerySet[Any], part: Part) -> Page[Any]:
    """A page of `rows`, by keyset: the rows beyond the cursor in the direction of travel. `name` is what its cursors belong to."""
    window, column = part.window, part.sort or listing.default.lstrip("-")
    natural = listing.default.startswith("-") if part.sort is None else column.endswith("_at")
    descending = natural if part.order is None else part.order is SortOrder.desc
    sorted_by = f"{'-' if descending else ''}{column}"
    travel = descending is (window.direction is Direction.forward)
    rows = query = _narrowed(rows, listing, part)
    if window.cursor is not None:
        cursor = decode_cursor(window.cursor, of=name, sort=sorted_by, argument=window.argument)
        query = query.filter(_beyond(column, travel, cursor, _key(entity, column, cursor.key, window)))
    sign = "-" if travel else ""
    found = await query.order_by(f"{sign}{column}", f"{sign}id").limit(window.size + 1)
    more, found = len(found) > window.size, found[: window.size]
    if window.direction is Direction.forward:
        piece = Slice(found, before=window.cursor is not None, after=more)
    else:
        piece = Slice(found[::-1], before=more, after=window.cursor is not None)

    def place(row: Any, way: str) -> str:
        return Cursor(of=name, sort=sorted_by, key=_text(getattr(row, column)), id=str(row.pk), way=way).encoded()

    if not part.filters and not part.search:
        return paged(piece, window, place, await rows.count(), False)
    count = await rows.limit(MOST_COUNTED + 1).count()
    return paged(piece, window, place, min(count, MOST_COUNTED), count > MOST_COUNTED)
