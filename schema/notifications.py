"""Notifications: what channels are told, and what became of it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

import models
from schema.access import Role
from schema.fields import Node, computed, entity, one
from schema.filters import Compare
from schema.page import sorting
from schema.resource import Resource

if TYPE_CHECKING:
    from schema.notification_channels import NotificationChannel

NotificationSort = sorting("notification", "created_at")


class NotificationFilters:
    """What notifications can be filtered by."""

    channel_id: UUID
    project_id: UUID
    event: models.NotificationEvent
    status: models.NotificationStatus
    created_from: Annotated[datetime, Compare("created_at", ">=")]
    created_to: Annotated[datetime, Compare("created_at", "<=")]


def _application(data: dict[str, Any]) -> strawberry.ID | None:
    return data.get("applicationId")


def _deployment(data: dict[str, Any]) -> strawberry.ID | None:
    return data.get("deploymentId")


def _alert(data: dict[str, Any]) -> strawberry.ID | None:
    return data.get("alertId")


@entity(models.Notification, scope="project_id")
class Notification(Node):
    """What a channel is told; `dueAt` is when it is sent, or tried again, `error` why the last try has failed. It is kept for 30 days."""

    channel_id: strawberry.ID
    channel: Annotated["NotificationChannel", strawberry.lazy("schema.notification_channels")] = one("channel_id")
    project_id: strawberry.ID
    event: models.NotificationEvent
    application_id: strawberry.ID | None = computed(_application, "data")
    deployment_id: strawberry.ID | None = computed(_deployment, "data")
    alert_id: strawberry.ID | None = computed(_alert, "data")
    status: models.NotificationStatus
    tries: int
    error: str | None
    due_at: datetime | None
    sent_at: datetime | None
    created_at: datetime


notifications = Resource("notification", Notification)

VIEW = "id channelId projectId event applicationId deploymentId alertId status tries error dueAt sentAt createdAt"
LINKS = {"self": "notifications.get"}

list_ = notifications.list(needs=Role.viewer, filters=NotificationFilters, sort=NotificationSort, view=VIEW, links=LINKS)

get = notifications.get(needs=Role.viewer, view=VIEW, links=LINKS)
