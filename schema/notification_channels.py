"""Notification channels: who is told outside of what happens in a project, and what became of it."""

import secrets
from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import strawberry
from pydantic import Field

import models
from models import ChannelType, NotificationEvent, notifications
from schema.access import Role
from schema.channel_targets import HookUrl, Recipients, shown_recipients, shown_url, target_of
from schema.context import Context
from schema.errors import Conflict, NotFound
from schema.fields import Node, computed, entity, one
from schema.held import held
from schema.inputs import Input, refuse
from schema.notifications import LINKS as OF_NOTIFICATION
from schema.notifications import VIEW as NOTIFICATION
from schema.page import sorting
from schema.projects import Project
from schema.resource import Resource
from schema.rules import Length, Pattern

MOST: Final = 20
"""Channels of one project."""
SECRET_BYTES: Final = 32

ChannelSort = sorting("notificationChannel", "created_at", "name")
ChannelName = Annotated[str, Pattern(r"[^\x00-\x1f\x7f]+", "may not contain control characters", 1, 50)]
TOLD: Final = tuple(each for each in NotificationEvent if each is not NotificationEvent.test)
"""What a channel may listen to."""
USUAL: Final = (NotificationEvent.alert_raised, NotificationEvent.alert_resolved, NotificationEvent.deployment_failed)
Events = Annotated[list[NotificationEvent], Length(1, len(TOLD), "items")]


class ChannelFilters:
    """What channels can be filtered by."""

    project_id: UUID
    type: ChannelType
    enabled: bool


def _events(events: list[str]) -> list[NotificationEvent]:
    return [NotificationEvent(each) for each in events]


@entity(models.NotificationChannel, scope="project_id")
class NotificationChannel(Node):
    """Where somebody outside is told what happens in a project. Of a `url` only the host is shown: whoever has the rest can write there."""

    name: str
    project_id: strawberry.ID
    project: Project = one("project_id")
    type: ChannelType
    url: str | None = computed(shown_url, "target")
    recipients: list[str] = computed(shown_recipients, "target")
    events: list[NotificationEvent] = computed(_events, "events")
    enabled: bool
    created_at: datetime
    updated_at: datetime


@strawberry.type
class ChannelSecret:
    """The secret that what is sent to a webhook is signed with, as Standard Webhooks writes it; null for what is not signed."""

    channel_id: strawberry.ID
    secret: str | None


@strawberry.pydantic.input
class CreateChannelInput(Input):
    """A new channel: a `webhook` or `slack` has a `url`, `email` has `recipients`."""

    name: ChannelName
    project_id: str
    type: ChannelType
    url: HookUrl | None = None
    recipients: Recipients | None = Field(default=None, examples=[None])
    events: Events = Field(default_factory=lambda: list(USUAL))
    enabled: bool = True


@strawberry.pydantic.input
class UpdateChannelInput(Input):
    """What can be changed of a channel; what is absent stays as it is, and so does a `url` that comes back as it was shown."""

    name: strawberry.Maybe[ChannelName] = None
    url: strawberry.Maybe[HookUrl] = None
    recipients: strawberry.Maybe[Recipients] = None
    events: strawberry.Maybe[Events] = None
    enabled: strawberry.Maybe[bool] = None


channels = Resource("notification_channel", NotificationChannel, path="/notification-channels")

VIEW = "id name projectId type url recipients events enabled createdAt updatedAt"
LINKS = {"self": "notification_channels.get", "project": "projects.get"}

list_ = channels.list(needs=Role.viewer, filters=ChannelFilters, sort=ChannelSort, view=VIEW, links=LINKS)

get = channels.get(needs=Role.viewer, view=VIEW, links=LINKS)


@channels.post(needs=Role.member, view=VIEW, links=LINKS)
async def create(ctx: Context, input: CreateChannelInput) -> models.NotificationChannel:
    """Create a channel; it takes an admin of its project."""
    project = await ctx.reference(Project, input.project_id, Role.admin, field="projectId")
    target = target_of(input.type, {"url": input.url, "recipients": input.recipients})
    if input.type is ChannelType.webhook:
        target["secret"] = _new_secret()
    await held(project)
    if await models.NotificationChannel.filter(project_id=project.id).count() >= MOST:
        raise Conflict(f"A project has {MOST} channels at most.", reason="TOO_MANY")
    return await models.NotificationChannel.create(
        project_id=project.id, name=input.name, type=input.type, target=target, events=_listened(input.events), enabled=input.enabled
    )


@channels.patch("/{id}", needs=Role.admin, view=VIEW, links=LINKS)
async def update(ctx: Context, channel: models.NotificationChannel, input: UpdateChannelInput) -> models.NotificationChannel:
    """Change a channel; its type stays as it is."""
    row = await held(channel)
    given: dict[str, Any] = {name: said.value for name in input.model_fields_set if (said := getattr(input, name)) is not None}
    changes: dict[str, Any] = {name: given[name] for name in ("name", "enabled") if name in given}
    if "events" in given:
        changes["events"] = _listened(given["events"])
    told: dict[str, Any] = {name: given[name] for name in ("url", "recipients") if name in given}
    if told.get("url") is not None and told["url"] == shown_url(row.target):
        del told["url"]
    if told:
        changes["target"] = row.target | target_of(row.type, told)
    await row.update_from_dict(changes).save(update_fields=[*changes, "updated_at"])
    return row


@channels.delete("/{id}", needs=Role.admin)
async def delete(ctx: Context, channel: models.NotificationChannel) -> None:
    """Delete a channel, and what it was told and is still to be told."""
    if not await models.NotificationChannel.filter(id=channel.id).delete():
        raise NotFound.row("NotificationChannel", "notification_channel", str(channel.id))


@channels.post("/{id}/test", status=202, needs=Role.admin, view=NOTIFICATION, links=OF_NOTIFICATION)
async def test(ctx: Context, channel: models.NotificationChannel) -> models.Notification:
    """Tell a channel something, so that somebody can see whether it arrives; one test at a time."""
    row = await held(channel)
    if not row.enabled:
        raise Conflict("The channel is disabled.", reason="CHANNEL_DISABLED")
    if await models.Notification.exists(channel_id=row.id, event=NotificationEvent.test, status=models.NotificationStatus.pending):
        raise Conflict("A test of the channel is under way.", reason="TEST_PENDING")
    return await notifications.queue_for(row, NotificationEvent.test, {"channelId": row.id, "channelName": row.name})


@channels.query("/{id}/secret", needs=Role.admin, view="channelId secret", discloses=True)
async def secret(ctx: Context, channel: models.NotificationChannel) -> ChannelSecret:
    """Get the secret that a webhook's bodies are signed with. The reading is entered in the audit trail."""
    return _secret(channel)


@channels.post("/{id}/secret", status=200, needs=Role.admin, view="channelId secret", discloses=True)
async def rotate_secret(ctx: Context, channel: models.NotificationChannel) -> ChannelSecret:
    """Make a new secret; what is sent from now on is signed with it alone."""
    if channel.type is not ChannelType.webhook:
        raise Conflict("Only what is sent to a webhook is signed.", reason="NOT_SIGNED")
    row = await held(channel)
    row.target = row.target | {"secret": _new_secret()}
    await row.save(update_fields=["target", "updated_at"])
    return _secret(row)


def _secret(channel: models.NotificationChannel) -> ChannelSecret:
    return ChannelSecret(channel_id=strawberry.ID(str(channel.id)), secret=channel.target.get("secret"))


def _new_secret() -> str:
    return f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _listened(events: list[NotificationEvent]) -> list[str]:
    if NotificationEvent.test in events:
        refuse("events", "enum", f"must be of {', '.join(TOLD)}")
    return list(dict.fromkeys(each.value for each in events))
