"""Notifications: who is told outside of what happens, and what is still to be told. They are queued with what they are about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from tortoise import fields

from models.database import joined
from models.enums import ChannelType, NotificationEvent, NotificationStatus
from models.rows import Project, Row
from models.secrets import EncryptedJSONField

KEPT: Final = timedelta(days=30)
"""How long a notification is listed."""

_LISTENING: Final = "select id from notification_channel where project_id = $1 and enabled and events @> to_jsonb($2::text)"


class NotificationChannel(Row):
    """Where somebody outside is told what happens in a project."""

    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.CASCADE)
    name = fields.CharField(max_length=50)
    type = fields.CharEnumField(ChannelType, max_length=16)
    target = EncryptedJSONField()
    """`url`, and `secret` of a webhook; `recipients` of e-mail."""
    events: list[str] = fields.JSONField(default=list)
    """Of what is told: values of `NotificationEvent`."""
    enabled = fields.BooleanField(default=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        """Named as what it is."""

        table = "notification_channel"
        indexes = (("project_id", "created_at"),)


class Notification(Row):
    """What a channel is told. Its id is told with it, so that whoever hears it twice can know."""

    channel_id: UUID
    channel: fields.ForeignKeyRelation[NotificationChannel] = fields.ForeignKeyField(
        "models.NotificationChannel", related_name=False, on_delete=fields.CASCADE
    )
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.CASCADE)
    event = fields.CharEnumField(NotificationEvent, max_length=32)
    data: dict[str, Any] = fields.JSONField(default=dict)
    """What has happened, in the words of the API."""
    status = fields.CharEnumField(NotificationStatus, max_length=16, default=NotificationStatus.pending)
    tries = fields.IntField(default=0)
    due_at = fields.DatetimeField(null=True)
    """When it is sent, or sent again; None once it was sent or given up."""
    sent_at = fields.DatetimeField(null=True)
    error = fields.TextField(null=True)
    """Why the last try has failed."""

    class Meta:
        """Named as what it is."""

        table = "notification"
        indexes = (("channel_id", "created_at"), ("project_id", "created_at"), ("created_at",))


async def queue(project: UUID, event: NotificationEvent, data: Mapping[str, Any]) -> None:
    """Have the channels of a project told that listen to such events; within the caller's transaction, if there is one.

    `data` may have ids, times and members of enums in it: they are written as the API writes them.
    """
    async with joined() as connection:
        channels = await connection.execute_query_dict(_LISTENING, [project, event.value])
        if not channels:
            return
        now, plain = datetime.now(UTC), msgspec.to_builtins(data)
        rows = [Notification(channel_id=each["id"], project_id=project, event=event, data=plain, due_at=now) for each in channels]
        await Notification.bulk_create(rows, using_db=connection)


async def queue_for(channel: NotificationChannel, event: NotificationEvent, data: Mapping[str, Any]) -> Notification:
    """Have one channel told of something, whatever it listens to."""
    return await Notification.create(
        channel_id=channel.id, project_id=channel.project_id, event=event, data=msgspec.to_builtins(data), due_at=datetime.now(UTC)
    )
