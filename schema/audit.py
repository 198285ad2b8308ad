"""The audit trail: who did what to which resource, from where. Operators read it."""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import strawberry

import models
from schema.access import Role
from schema.context import Context
from schema.fields import Node, Realm, computed, entity, one
from schema.filters import Compare
from schema.inputs import uuid_of
from schema.page import sorting
from schema.resource import Resource
from schema.users import User


@strawberry.type
class AuditField:
    """A field that was given; its value is kept only where it is an id, a number or one of a closed set, so no secret can be."""

    name: str
    value: str | None


def _fields(given: list[tuple[str, str | None]]) -> list[AuditField]:
    return [AuditField(name=name, value=value) for name, value in given]


@entity(models.AuditEntry, scope="id", realm=Realm.installation)
class AuditEntry(Node):
    """Something that somebody did, or was not allowed to do; `outcome` is `success` or the code of the error."""

    action: str
    outcome: str
    user_id: strawberry.ID | None
    user: User | None = one("user_id")
    username: str | None
    resource_type: str | None
    resource_id: strawberry.ID | None
    fields: list[AuditField] = computed(_fields, "fields_given")
    address: str | None
    request_id: str
    created_at: datetime


audit = Resource("auditEntry", AuditEntry, plural="audit")


class AuditFilters:
    """What the audit trail can be filtered by."""

    user_id: UUID
    action: str
    outcome: str
    resource_type: str
    resource_id: UUID
    created_from: Annotated[datetime, Compare("created_at", ">=")]
    created_to: Annotated[datetime, Compare("created_at", "<=")]


list_ = audit.list(
    needs=Role.operator,
    filters=AuditFilters,
    sort=sorting("auditEntry", "created_at"),
    view="""
        id action outcome userId username resourceType resourceId fields { name value } address requestId createdAt
    """,
)


def shown(name: str, value: Any) -> str | None:
    """A given value as the audit trail keeps it: nothing that could be a secret. A text is kept only under the name of an id."""
    value = value.value if isinstance(value, strawberry.Some) else value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | UUID):
        return str(value)
    names_id = name == "id" or name.endswith("Id")
    return str(value) if names_id and isinstance(value, str) and uuid_of(value) else None


async def enter(
    context: Context,
    action: str,
    outcome: str,
    resource: tuple[str | None, Any] = (None, None),
    fields: Iterable[tuple[str, str | None]] = (),
) -> None:
    """Write an entry of what somebody did, or was not allowed to do; `fields` are kept as they are."""
    who = context.user or context.subject
    await models.AuditEntry.create(
        user_id=who.id if who else None,
        username=who.username if who else None,
        action=action,
        outcome=outcome,
        resource_type=resource[0],
        resource_id=resource[1],
        fields_given=list(fields),
        address=context.address or None,
        request_id=context.request_id,
    )
