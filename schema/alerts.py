"""Alerts: what was raised by the rules of applications, as a list and as it happens."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import strawberry

import models
from models import alert_changes
from models.feed import Feeds, Part
from schema.access import Role
from schema.context import Context
from schema.fields import Node, entity, one
from schema.filters import Compare
from schema.following import followed
from schema.page import sorting
from schema.resource import Resource
from schema.rules import Between
from schema.scalars import BigInt

if TYPE_CHECKING:
    from schema.applications import Application

AfterAlert = Annotated[BigInt, Between(0, (1 << 53) - 1)]
NONE: Final = BigInt(0)
"""The number before the first change."""
AlertSort = sorting("alert", "created_at")


class AlertFilters:
    """What alerts can be filtered by."""

    application_id: UUID
    project_id: UUID
    metric: models.AlertMetric
    severity: models.AlertSeverity
    status: models.AlertStatus
    created_from: Annotated[datetime, Compare("created_at", ">=")]
    created_to: Annotated[datetime, Compare("created_at", "<=")]


@entity(models.Alert, scope="project_id")
class Alert(Node):
    """That a rule of an application was broken, from `createdAt` until `resolvedAt`. It is kept for 90 days after that.

    `threshold` is what there may be, `current` what there was when it was raised, or resolved: MiB of memory, cores, restarts, or percent
    of the requests.
    """

    application_id: strawberry.ID
    application: Annotated["Application", strawberry.lazy("schema.applications")] = one("application_id")
    project_id: strawberry.ID
    metric: models.AlertMetric
    severity: models.AlertSeverity
    status: models.AlertStatus
    threshold: float
    current: float
    message: str
    created_at: datetime
    resolved_at: datetime | None


@strawberry.type
class ResourceAlert:
    """An alert that was raised or resolved. `seq` grows with every change of any alert."""

    alert_id: strawberry.ID
    application_id: strawberry.ID
    metric: models.AlertMetric
    severity: models.AlertSeverity
    status: models.AlertStatus
    threshold: float
    current: float
    message: str
    created_at: datetime
    resolved_at: datetime | None
    seq: BigInt


alerts = Resource("alert", Alert)

VIEW = "id applicationId projectId metric severity status threshold current message createdAt resolvedAt"
LINKS = {"self": "alerts.get", "application": "applications.get"}

list_ = alerts.list(needs=Role.viewer, filters=AlertFilters, sort=AlertSort, view=VIEW, links=LINKS)

get = alerts.get(needs=Role.viewer, view=VIEW, links=LINKS)

changes = Resource("resource", plural="resource_alerts", path="/applications/{id}/alerts", about="Alerts as they are raised and resolved.")


def shown(alert: alert_changes.Changed) -> ResourceAlert:
    """An alert as the API shows it to whoever follows."""
    return ResourceAlert(
        alert_id=strawberry.ID(str(alert.id)),
        application_id=strawberry.ID(str(alert.application_id)),
        metric=alert.metric,
        severity=alert.severity,
        status=alert.status,
        threshold=alert.threshold,
        current=alert.current,
        message=alert.message,
        created_at=alert.created_at,
        resolved_at=alert.resolved_at,
        seq=BigInt(alert.seq),
    )


async def _after(application: UUID, seq: int) -> Part[ResourceAlert]:
    return Part([shown(each) for each in await alert_changes.after(application, seq)])


FEEDS: Final = Feeds(_after)
"""Whoever follows the alerts of an application, in this process."""


@changes.stream(
    "/events", needs=Role.viewer, view="alertId applicationId metric severity status threshold current message createdAt resolvedAt seq"
)
async def alerts_(ctx: Context, application: models.Application, after_seq: AfterAlert = NONE) -> AsyncIterator[ResourceAlert]:
    """Follow an application's alerts: what has changed after `afterSeq`, or else those that are open, and then each that changes.

    It ends when whoever follows may no longer see the application, or their session has ended.
    """
    from schema.applications import Application

    after: int = after_seq
    if not after:
        after = await alert_changes.last_seq()
        for each in await alert_changes.open_of(application.id):
            if each.seq <= after:
                yield shown(each)
    async with aclosing(followed(ctx, Application, application, FEEDS, after)) as found:
        async for each_ in found:
            yield each_
