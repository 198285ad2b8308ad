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
from schema.plan.catalog import catalog
from schema.plan.render import View, answer_type, compiled
from schema.plan.resolve import attach

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

    async def render(self, value: Any, context: Any) -> Any:
        """The JSON value of a REST answer, links included; None for an answer without a body."""
        if self.view is None:
            return None
        body = await self.view.render(value, context)
        for item in body["data"] if self.operation.listing else [body]:
            self.links.fill(item)
        return body


@dataclass(frozen=True)
class Surface:
    """The operations in the order of the specification, and the schema made of them."""

    operations: tuple[Bound, ...]
    schema: strawberry.Schema
    entities: tuple[Entity, ...]


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


def _view(operation: Operation[Any], links: Links) -> str:
    item = f"{operation.view or ''} {links.selection}".strip()
    if operation.listing is None:
        return item
    return f"data: nodes {{ {item} }} pagination {{ hasMore nextCursor prevCursor total totalCapped }}"


def bind(chapters: tuple[Resource, ...], types: tuple[type, ...]) -> Surface:
    """Make the surface of some chapters and entities.

    Raises `WrongDeclaration` when a view or a link does not fit.
    """
    operations = [operation for chapter in chapters for operation in chapter.operations]
    entities = {entity_of(type_).model: entity_of(type_) for type_ in types}
    by_id = {operation.id: operation for operation in operations}
    schema = graph(operations, entities)
    core = schema._schema
    attach(catalog(core, {entity.title: entity for entity in entities.values()}, operations))
    bound = []
    for operation in operations:
        links = links_of(operation, _item(operation, entities, chapters), by_id, PREFIX)
        text = _view(operation, links)
        view = compiled(operation.id, answer_type(core, operation.kind, operation.graphql_name), text) if text else None
        bound.append(Bound(operation, _fetched(operation, entities), links, view))
    return Surface(tuple(bound), schema, tuple(entities.values()))


@functools.cache
def surface() -> Surface:
    """The surface of this API."""
    return bind(CHAPTERS, ENTITIES)
