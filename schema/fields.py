"""Where the data of an entity's fields comes from: declared here, fetched by `schema.plan`.

An entity is a Strawberry type bound to a Tortoise model. A bare annotation is a column of that model; everything else says so:

    @entity(models.Application, scope="project_id")
    class Application(Node):
        name: str
        env_vars: list[EnvVar] = computed(masked, "env_vars")
        last_deployment: Deployment | None = one("application_id", "-id")
        deployments: Page[Deployment] = page("-created_at", fk="application_id", filters=DeploymentFilters)

What only some roles may read says so as well: `token: str | None = column(needs=Role.admin)`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeVar
from uuid import UUID

import strawberry
from strawberry.types.base import get_object_definition
from tortoise.models import Model

from schema.access import Role
from schema.filters import Filter, filters_of
from schema.names import api_name
from schema.page import SortOrder

C = TypeVar("C", bound=type)

_MARK = "__dokploy_entity__"


class Realm(Enum):
    """What decides who may see a row."""

    project = "project"
    """The project it belongs to."""
    team = "team"
    """The team it belongs to."""
    person = "person"
    """By its id: oneself and the members of one's teams. By a relation: whoever sees what leads there."""
    installation = "installation"
    """Nothing: only operators see it."""


@dataclass(frozen=True)
class Entity:
    """A Strawberry type with rows of its own."""

    of: type
    model: type[Model]
    scope: str
    realm: Realm

    @property
    def singular(self) -> str:
        """`application`."""
        return api_name(self.of.__name__[:1].lower() + self.of.__name__[1:])

    @property
    def title(self) -> str:
        """`Application`."""
        return self.of.__name__

    @property
    def table(self) -> str:
        """The name of its table in SQL."""
        return self.model._meta.db_table

    @property
    def perishable(self) -> bool:
        """Whether a deleted row is kept, marked."""
        return "deleted_at" in self.model._meta.fields_map

    @property
    def living(self) -> dict[str, bool]:
        """The filter that leaves out what was deleted."""
        return {"deleted_at__isnull": True} if self.perishable else {}


@dataclass(frozen=True)
class Column:
    """A column of the row, under a role."""

    needs: Role


@dataclass(frozen=True)
class Computed:
    """A function of columns; a batch one is `async fn(context, list of column tuples) -> list`."""

    function: Callable[..., Any]
    columns: tuple[str, ...]
    batch: bool = False
    needs: Role = Role.viewer


@dataclass(frozen=True)
class One:
    """The row that `fk` points to, or, with an order, the first of the rows whose `fk` points here."""

    fk: str
    order: str = ""


@dataclass(frozen=True)
class Listing:
    """A list of rows that is handed out in pages."""

    default: str
    """The column that sorts when nothing else is asked for; `-` before it means descending."""
    sorting: type[Enum] | None = None
    """What else can sort it; made by `schema.page.sorting`."""
    filters: dict[str, Filter] = field(default_factory=dict)
    """By the name of the argument."""
    search: bool = False
    """Whether `search` looks for a part of the name."""
    fk: str | None = None
    """For a relation: the column that points to the parent."""

    @property
    def sort(self) -> tuple[str, ...]:
        """The columns that it can be sorted by."""
        return tuple(member.value for member in self.sorting or ())


@dataclass(frozen=True)
class Count:
    """How many rows of another entity point here."""

    of: Callable[[], type]
    fk: str


@dataclass(frozen=True)
class Extreme:
    """The smallest or largest value of a column among the rows of another entity that point here."""

    of: Callable[[], type]
    fk: str
    column: str
    kind: Literal["min", "max"]


@dataclass(frozen=True)
class Group:
    """An object that only groups fields of the same row."""


Source = Column | Computed | One | Listing | Count | Extreme | Group


class WrongDeclaration(TypeError):
    """A declaration contradicts itself or the models; the message names it and the mistake."""


@strawberry.interface
class Node:
    """Whatever has an id of its own."""

    id: strawberry.ID


def columns_of(model: type[Model]) -> frozenset[str]:
    """The names of a model's columns, also before the models are connected."""
    return frozenset(model._meta.fields_map) | {f"{name}_id" for name in model._meta.fk_fields}


def entity(model: type[Model], *, scope: str, realm: Realm = Realm.project) -> Callable[[C], C]:
    """Bind a class to a model and make it a Strawberry type.

    `scope` is the column that holds the project (or team) which decides who may see a row.
    Raises `WrongDeclaration` when a bare field or the scope is no column.
    """

    def bind(cls: C) -> C:
        type_ = strawberry.type(cls)
        columns = columns_of(model)
        if scope not in columns:
            raise WrongDeclaration(f"{cls.__name__}: scope '{scope}' is no column of {model.__name__}")
        for definition in get_object_definition(type_, strict=True).fields:
            source = definition.metadata.get("source")
            if isinstance(source, Column | None) and definition.python_name not in columns:
                raise WrongDeclaration(f"{cls.__name__}.{definition.python_name}: no such column in {model.__name__}")
            for column in source.columns if isinstance(source, Computed) else ():
                if column not in columns:
                    raise WrongDeclaration(f"{cls.__name__}.{definition.python_name}: no column '{column}' in {model.__name__}")
        setattr(type_, _MARK, Entity(type_, model, scope, realm))
        return type_

    return bind


def entity_of(type_: type) -> Entity:
    """The entity behind a type. Raises `WrongDeclaration` when it has no rows of its own."""
    found = getattr(type_, _MARK, None)
    if not isinstance(found, Entity):
        raise WrongDeclaration(f"{type_.__name__} is not an entity")
    return found


async def _fetched_by_the_plan(root: Any, info: Any, **given: Any) -> Any:
    raise NotImplementedError("schema.plan fetches what was declared")


def _field(source: Source, **parameters: Any) -> Any:
    async def declared(root: Any, info: Any, **given: Any) -> Any:
        return await _fetched_by_the_plan(root, info, **given)

    kind = inspect.Parameter
    own = [kind("root", kind.POSITIONAL_OR_KEYWORD), kind("info", kind.POSITIONAL_OR_KEYWORD, annotation=strawberry.Info)]
    given = [kind(name, kind.KEYWORD_ONLY, annotation=type_ | None, default=None) for name, type_ in parameters.items()]
    declared.__signature__ = inspect.Signature([*own, *given])  # type: ignore[attr-defined]
    declared.__annotations__ = {"info": strawberry.Info} | {name: type_ | None for name, type_ in parameters.items()}
    return strawberry.field(resolver=declared, metadata={"source": source})


def column(*, needs: Role) -> Any:
    """Return a column that takes a role where the row lives; for anybody else it is null, with an error."""
    return _field(Column(needs))


def computed(function: Callable[..., Any], *columns: str, batch: bool = False, needs: Role = Role.viewer) -> Any:
    """Return a field that is computed from columns of the row."""
    return _field(Computed(function, columns, batch, needs))


def one(fk: str, order: str = "") -> Any:
    """Return a to-one relation."""
    return _field(One(fk, order))


def list_arguments(listing: Listing) -> dict[str, Any]:
    """The arguments of a page, with the types that GraphQL shows."""
    found: dict[str, Any] = {"first": int, "after": str, "last": int, "before": str}
    found |= {name: strawberry.ID if each.type is UUID else each.type for name, each in listing.filters.items()}
    found |= {"search": str} if listing.search else {}
    return found | ({"sort": listing.sorting, "order": SortOrder} if listing.sorting else {})


def page(default: str, *, fk: str, sort: type[Enum] | None = None, filters: type | None = None, search: bool = False) -> Any:
    """Return a to-many relation as a Relay connection."""
    narrowing = {name: each for name, each in filters_of(filters).items() if each.column != fk}
    listing = Listing(default, sort, narrowing, search, fk)
    return _field(listing, **list_arguments(listing))


def count(of: Callable[[], type], fk: str) -> Any:
    """Return the number of rows of another entity that point to this row."""
    return _field(Count(of, fk))


def earliest(of: Callable[[], type], fk: str, column: str = "created_at") -> Any:
    """Return the smallest value of a column among the rows of another entity that point to this row."""
    return _field(Extreme(of, fk, column, "min"))


def latest(of: Callable[[], type], fk: str, column: str = "created_at") -> Any:
    """Return the largest value of a column among the rows of another entity that point to this row."""
    return _field(Extreme(of, fk, column, "max"))


def group() -> Any:
    """Return an object that groups fields of the same row."""
    return _field(Group())
