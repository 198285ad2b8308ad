"""The whole API: the list of chapters, and what follows from them once they are seen together."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from tortoise.models import Model

from schema import (
    alert_rules,
    alerts,
    applications,
    audit,
    auth,
    backup_schedules,
    backups,
    databases,
    deploy_keys,
    deployments,
    domains,
    health,
    members,
    metrics,
    notification_channels,
    notifications,
    projects,
    restores,
    teams,
    users,
    webhooks,
)
from schema.documents.outline import outlined
from schema.fields import Entity, WrongDeclaration, entity_of
from schema.graph import graph
from schema.links import Links, links_of
from schema.operation import Operation
from schema.plan.catalog import Catalog, answer_type, catalog
from schema.plan.view import View, view_of
from schema.resource import Resource

PREFIX = "/api"

CHAPTERS: tuple[Resource, ...] = (
    auth.auth,
    users.own,
    users.users,
    teams.teams,
    members.members,
    projects.projects,
    applications.applications,
    domains.domains,
    webhooks.secret,
    webhooks.deliveries,
    deploy_keys.deploy_key,
    deployments.deployments,
    databases.databases,
    backup_schedules.backup_schedule,
    backups.backups,
    restores.restores,
    metrics.system,
    alerts.alerts,
    alerts.changes,
    alert_rules.chapter,
    notification_channels.channels,
    notifications.notifications,
    audit.audit,
    health.service,
)

ENTITIES: tuple[type, ...] = (
    users.User,
    teams.Team,
    members.Member,
    projects.Project,
    applications.Application,
    domains.Domain,
    webhooks.WebhookDelivery,
    deployments.Deployment,
    databases.Database,
    backups.DatabaseBackup,
    restores.DatabaseRestore,
    alerts.Alert,
    notification_channels.NotificationChannel,
    notifications.Notification,
    audit.AuditEntry,
)


@dataclass(frozen=True)
class Bound:
    """An operation together with what the rest of the surface makes of it."""

    operation: Operation[Any]
    entities: tuple[Entity, ...]
    """Those whose rows its path names; of a list, the one that it lists."""
    answer: Entity | None
    """What it answers with, when that is a row or a page of them."""
    links: Links
    view: View | None
    sorts: Mapping[str, Any]
    """What a list can be sorted by, by the names that clients use."""


@dataclass(frozen=True)
class Surface:
    """The operations in the order of the specification, and the schema made of them."""

    operations: tuple[Bound, ...]
    schema: strawberry.Schema
    catalog: Catalog

    @property
    def following(self) -> Mapping[str, Bound]:
        """The streams that go on from a query, by its id."""
        return {bound.operation.follows.id: bound for bound in self.operations if bound.operation.follows is not None}


def _item(operation: Operation[Any], entity: Entity | None, chapters: Iterable[Resource]) -> Resource | None:
    """The chapter of what an operation answers with, when that is a row or a page of them."""
    return next((chapter for chapter in chapters if chapter.type is entity.of), operation.chapter) if entity else None


def _fetched(operation: Operation[Any], entities: Mapping[type[Model], Entity]) -> tuple[Entity, ...]:
    """The entities whose rows an operation finds by its path, or lists. Raises `WrongDeclaration`."""
    if operation.listing is not None and operation.chapter.type is not None:
        return (entity_of(operation.chapter.type),)
    models = operation.signature.rows.values()
    for model in models:
        if model not in entities:
            raise WrongDeclaration(f"{operation.id}: no entity stands for {model.__name__}")
    return tuple(entities[model] for model in models)


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
        if operation.downloads:
            bound.append(Bound(operation, _fetched(operation, entities), None, Links(), None, {}))
            continue
        answer = known.target(answer_type(known, operation))
        links = links_of(operation, _item(operation, answer, chapters), by_id, PREFIX)
        view = _view(known, operation, links)
        members = operation.listing.sorting if operation.listing else None
        sorts = {member.name: member for member in members or ()}
        bound.append(Bound(operation, _fetched(operation, entities), answer, links, view, sorts))
    return Surface(tuple(bound), schema, known)


@functools.cache
def surface() -> Surface:
    """The surface of this API."""
    return bind(CHAPTERS, ENTITIES)
