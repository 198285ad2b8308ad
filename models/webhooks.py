"""The rows of the doors to the outside: what webhooks brought, and the accounts elsewhere by which people log in."""

from typing import Any
from uuid import UUID

from tortoise import fields

from models.enums import GitProvider, WebhookOutcome, WebhookReason
from models.rows import Application, Deployment, Project, Row, User


class WebhookDelivery(Row):
    """What a verified webhook was to one application. `push` is what of it moved, for whoever wants it delivered again."""

    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    provider = fields.CharEnumField(GitProvider, max_length=16)
    delivery = fields.CharField(max_length=255)
    """What the sender calls it."""
    event = fields.CharField(max_length=100)
    outcome = fields.CharEnumField(WebhookOutcome, max_length=16)
    reason = fields.CharEnumField(WebhookReason, max_length=32, null=True)
    deployment_id: UUID | None
    deployment: fields.ForeignKeyNullableRelation[Deployment] = fields.ForeignKeyField(
        "models.Deployment", related_name=False, on_delete=fields.SET_NULL, null=True
    )
    push: list[dict[str, Any]] | None = fields.JSONField(null=True)

    class Meta:
        """A delivery is done once for each application."""

        table = "webhook_delivery"
        unique_together = (("application", "provider", "delivery"),)
        indexes = (("application_id", "created_at"), ("created_at",), ("deployment_id",), ("project_id",))


class Identity(Row):
    """An account at an OpenID provider by which somebody logs in: what the provider calls itself, and them."""

    user_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.CASCADE)
    issuer = fields.CharField(max_length=512)
    subject = fields.CharField(max_length=255)
    made_account = fields.BooleanField()
    """Whether the account was made for it, and not linked to it later."""

    class Meta:
        """One person per account."""

        table = "identity"
        unique_together = (("issuer", "subject"),)
