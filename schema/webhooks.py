"""Webhooks: the secret of an application that senders prove they know, and what they have sent."""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from uuid_utils.compat import uuid7

import models
from models.settings import settings
from schema import receiving
from schema.access import Role
from schema.context import Context
from schema.deployments import Deployment
from schema.errors import Conflict
from schema.fields import Node, computed, entity, one
from schema.held import held
from schema.page import sorting
from schema.resource import Resource

if TYPE_CHECKING:
    from schema.applications import Application

SECRET_BYTES = 32

Kept = list[dict[str, Any]] | None


def _branch(push: Kept) -> str | None:
    return push[-1]["branch"] if push else None


def _commit(push: Kept) -> str | None:
    return push[-1]["commit"] if push else None


class DeliveryFilters:
    """What deliveries can be filtered by."""

    provider: models.GitProvider
    outcome: models.WebhookOutcome
    reason: models.WebhookReason


DeliverySort = sorting("webhookDelivery", "created_at")


@entity(models.WebhookDelivery, scope="project_id")
class WebhookDelivery(Node):
    """What a webhook was to an application. It is kept for 30 days."""

    application_id: strawberry.ID
    application: Annotated["Application", strawberry.lazy("schema.applications")] = one("application_id")
    provider: models.GitProvider
    delivery: str
    event: str
    outcome: models.WebhookOutcome
    reason: models.WebhookReason | None
    branch: str | None = computed(_branch, "push")
    commit_sha: str | None = computed(_commit, "push")
    deployment_id: strawberry.ID | None
    deployment: Deployment | None = one("deployment_id")
    created_at: datetime


VIEW = "id applicationId provider delivery event outcome reason branch commitSha deploymentId createdAt"

deliveries = Resource("webhook_delivery", WebhookDelivery, plural="webhook_deliveries", path="/applications/{id}/webhook-deliveries")


@deliveries.post("/{deliveryId}/redeliver", status=202, needs=Role.developer, view=VIEW, links={"application": "applications.get"})
async def redeliver(ctx: Context, application: models.Application, delivery: models.WebhookDelivery) -> models.WebhookDelivery:
    """Look at a push once more, as if it had just been sent: what follows from it is a delivery of its own."""
    if not delivery.push:
        raise Conflict("Nothing can follow from this delivery: it was no push.", reason="NO_PUSH")
    notice = receiving.once_more(delivery.push, application.repository)
    name = f"{delivery.delivery.partition(receiving.AGAIN)[0]}{receiving.AGAIN}{uuid7()}"
    again = receiving.Delivery(delivery.provider, name, delivery.event, notice)
    return await receiving.received(receiving.of(application), again)


@strawberry.type
class WebhookUrls:
    """Where each provider sends to. They differ for each application, since a provider may refuse the same one twice for a repository."""

    github: str
    gitlab: str
    gitea: str
    bitbucket: str


@strawberry.type
class WebhookSecret:
    """The secret that a webhook of the application's repository is given, and the URLs to give it to."""

    application_id: strawberry.ID
    secret: str | None
    urls: WebhookUrls


def _secret(application: models.Application) -> WebhookSecret:
    base = f"{settings().public_url}/api/webhooks"
    urls = WebhookUrls(**{each.value: f"{base}/{each.value}?application={application.id}" for each in models.GitProvider})
    stored = application.webhook_secret
    return WebhookSecret(application_id=strawberry.ID(str(application.id)), secret=stored["secret"] if stored else None, urls=urls)


secret = Resource("webhook_secret", path="/applications/{id}/webhook-secret", about="Secrets by which webhooks are known to be genuine.")

SHOWN = "applicationId secret urls { github gitlab gitea bitbucket }"


@secret.query("", needs=Role.admin, view=SHOWN, discloses=True)
async def get(ctx: Context, application: models.Application) -> WebhookSecret:
    """Get the secret of an application's webhooks; null until it is made. The reading is entered in the audit trail."""
    return _secret(application)


@secret.post("", status=200, needs=Role.admin, view=SHOWN, discloses=True)
async def rotate(ctx: Context, application: models.Application) -> WebhookSecret:
    """Make a new secret; the one before is worth nothing from now on."""
    row = await held(application)
    row.webhook_secret = {"secret": secrets.token_urlsafe(SECRET_BYTES)}
    await row.save(update_fields=["webhook_secret", "updated_at"])
    return _secret(row)
