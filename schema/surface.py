"""The whole API: the list of chapters, and what follows from them once they are seen together."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from tortoise.models import Model

from schema import applications, auth, deployments, health, projects, teams, users
from schema.fields import Entity, WrongDeclaration, entity_of
from schema.graph import graph
from schema.links import Links, links_of
from schema.operation import Operation, Resource
from schema.plan.catalog import Catalog, answer_type, catalog, sorts
from schema.plan.outline import outlined
from schema.plan.view import View, view_of

PREFIX = "/api"

CHAPTERS: tuple[Resource, ...] = (
    auth.auth,
    users.users,
    projects.projects,
    applications.applications,
    deployments.deployments,
    health.service,
)

ENTITIES: tuple[type, ...] = (
    users.User,
    teams.Team,
    projects.Project,
    applications.Application,
    deployments.Deployment,
)


@dataclass(frozen=True)
class Bound:
    """An operation together with what the rest of the surface makes of it."""

    operation: Operation[Any]
    entity: Entity | None
    links: Links
    view: View | None
    sorts: Mapping[str, Any]
    """What a list can be sorted by, by the names that clients use."""
    item: Resource
    """The chapter of the row that it answers with, or of the items of its page; else its own."""


@dataclass(frozen=True)
class Surface:
    """The operations in the order of the specification, and the schema made of them."""

    operations: tuple[Bound, ...]
    schema: strawberry.Schema
    catalog: Catalog


def _item(operation: Operation[Any], entities: Mapping[type[Model], Entity], chapters: Iterable[Resource]) -> Resource:
    """The chapter whose row an operation answers with."""
    entity = entities.get(operation.signature.returns)
    return next((chapter for chapter in chapters if entity and chapter.type is entity.of), operation.chapter)


def _fetched(operation: Operation[Any], entities: Mapping[type[Model], Entity]) -> Entity | None:
    """The entity whose rows an operation lists, or finds by its path."""
    if operation.listing is not None and operation.chapter.type is not None:
        return entity_of(operation.chapter.type)
    for model in operation.signature.rows.values():
        if model not in entities:
            raise WrongDeclaration(f"{operation.id}: no entity stands for {model.__name__}")
        return entities[model]
    return None


PAGE = "data: nodes {{ {item} }} pagination {{ hasMore nextCursor prevCursor total totalCapped }}"


def _view(catalog: Catalog, operation: Operation[Any], links: Links) -> View | None:
    """What REST shows. Raises `WrongDeclaration` when the view or a link does not fit the type."""
    page = PAGE if operation.listing else "{item}"
    text = page.format(item=f"{operation.view or ''} {'_links: id' if links.links else ''}".strip())
    if not text.strip():
        return None
    type_ = answer_type(catalog, operation)
    if links.links:
        outlined(operation.id, type_, page.format(item=links.selection))
    shape, sets = outlined(operation.id, type_, text)
    return view_of(catalog, operation, shape, sets, text, links.links)


def bind(chapters: tuple[Resource, ...], types: tuple[type, ...]) -> Surface:
    """Make the surface of some chapters and entities.

    Raises `WrongDeclaration` when a view or a link does not fit.
    """
    operations = [operation for chapter in chapters for operation in chapter.operations]
    entities = {entity_of(type_).model: entity_of(type_) for type_ in types}
    by_id = {operation.id: operation for operation in operations}
    schema = graph(operations, entities)
    known = catalog(schema._schema, {entity.title: entity for entity in entities.values()}, operations)
    bound = []
    for operation in operations:
        item = _item(operation, entities, chapters)
        links = links_of(operation, item, by_id, PREFIX)
        view = _view(known, operation, links)
        bound.append(Bound(operation, _fetched(operation, entities), links, view, sorts(known, operation), item))
    return Surface(tuple(bound), schema, known)


@functools.cache
def surface() -> Surface:
    """The surface of this API."""
    return bind(CHAPTERS, ENTITIES)
