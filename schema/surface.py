"""The whole API: the list of chapters, and what follows from them once they are seen together."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from tortoise.models import Model

from schema import applications, auth, deployments, health, projects, teams, users
from schema.fields import Entity, WrongDeclaration, entity_of
from schema.graph import graph
from schema.links import Links, links_of
from schema.operation import Operation, Resource
from schema.plan.render import View, compiled
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
    strawberry: strawberry.Schema
    core: GraphQLSchema


def _item(operation: Operation[Any], entities: Mapping[type[Model], Entity], chapters: Iterable[Resource]) -> Resource:
    """The chapter whose row an operation answers with."""
    entity = entities.get(operation.signature.returns)
    return next((chapter for chapter in chapters if entity and chapter.type is entity.of), operation.chapter)


def _view(operation: Operation[Any], links: Links) -> str:
    item = f"{operation.view or ''} {links.selection}".strip()
    if operation.listing is None:
        return item
    return f"data: nodes {{ {item} }} pagination {{ hasMore nextCursor prevCursor total }}"


def bind(chapters: tuple[Resource, ...], types: tuple[type, ...]) -> Surface:
    """Make the surface of some chapters and entities.

    Raises `WrongDeclaration` when a view or a link does not fit.
    """
    operations = [operation for chapter in chapters for operation in chapter.operations]
    entities = {entity_of(type_).model: entity_of(type_) for type_ in types}
    by_id = {operation.id: operation for operation in operations}
    schema = graph(operations, entities)
    core: GraphQLSchema = schema._schema
    attach(core, {entity.title: entity for entity in entities.values()})
    roots = {"query": core.query_type, "mutation": core.mutation_type, "subscription": core.subscription_type}
    bound = []
    for operation in operations:
        links = links_of(operation, _item(operation, entities, chapters), by_id, PREFIX)
        root = roots[operation.kind]
        if not isinstance(root, GraphQLObjectType):
            raise WrongDeclaration(f"{operation.id}: there is no {operation.kind} type")
        text = _view(operation, links)
        view = compiled(operation.id, root.fields[operation.graphql_name].type, text) if text else None
        path_rows = list(operation.signature.rows.values())
        entity = entities[path_rows[0]] if path_rows else entity_of(operation.chapter.type) if operation.listing else None  # type: ignore[arg-type]
        bound.append(Bound(operation, entity, links, view))
    return Surface(tuple(bound), schema, core)


@functools.cache
def surface() -> Surface:
    """The surface of this API."""
    return bind(CHAPTERS, ENTITIES)
