"""Alerts, the rules that raise them, and the channels that are told."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import AlertMetric, AlertSeverity, AlertStatus, ChannelType, NotificationEvent, NotificationStatus
from models.secrets import EncryptedJSONField

ENCODER = functools.partial(dumps, separators=(",", ":"))

BESIDE = [
    "create sequence alert_seq owned by alert.seq",
    "create unique index alert_open on alert (application_id, metric, severity) where status = 'raised'",
    "create index alert_over on alert (resolved_at) where status = 'resolved'",
    "create index notification_due on notification (due_at) where due_at is not null",
    """
    create table restart (
        task_id text primary key,
        application_id uuid not null references application (id) on delete cascade,
        at timestamptz not null
    )
    """,
    "create index restart_by_application on restart (application_id, at)",
    "create index restart_by_time on restart (at)",
    "alter table metric add column memory_limit bigint, add column cpu_limit float8",
]


class Migration(migrations.Migration):
    """An alert of a rule is open once; what ended by itself is kept for as long as a rule may look back, and samples know their limits."""

    dependencies = [("models", "0011_metrics")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="Alert",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "project",
                    fields.ForeignKeyField(
                        "models.Project",
                        source_field="project_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "metric",
                    fields.CharEnumField(
                        description="memory: memory\ncpu: cpu\nrestarts: restarts\nerrors: errors", enum_type=AlertMetric, max_length=16
                    ),
                ),
                (
                    "severity",
                    fields.CharEnumField(description="warning: warning\ncritical: critical", enum_type=AlertSeverity, max_length=16),
                ),
                (
                    "status",
                    fields.CharEnumField(
                        default=AlertStatus.raised, description="raised: raised\nresolved: resolved", enum_type=AlertStatus, max_length=16
                    ),
                ),
                ("threshold", fields.FloatField()),
                ("current", fields.FloatField()),
                ("message", fields.TextField(unique=False)),
                ("resolved_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("seq", fields.BigIntField(unique=True)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "alert",
                "app": "models",
                "indexes": [
                    Index(fields=["application_id", "seq"]),
                    Index(fields=["application_id", "created_at"]),
                    Index(fields=["project_id", "created_at"]),
                    Index(fields=["created_at"]),
                ],
                "pk_attr": "id",
                "table_description": "That a rule was broken, from `created_at` until `resolved_at`.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="NotificationChannel",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "project",
                    fields.ForeignKeyField(
                        "models.Project",
                        source_field="project_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("name", fields.CharField(max_length=50)),
                (
                    "type",
                    fields.CharEnumField(description="webhook: webhook\nslack: slack\nemail: email", enum_type=ChannelType, max_length=16),
                ),
                ("target", EncryptedJSONField(generated=False, null=False, unique=False)),
                ("events", fields.JSONField(default=list, encoder=ENCODER, decoder=loads)),
                ("enabled", fields.BooleanField(default=True)),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
            ],
            options={
                "table": "notification_channel",
                "app": "models",
                "indexes": [Index(fields=["project_id", "created_at"])],
                "pk_attr": "id",
                "table_description": "Where somebody outside is told what happens in a project.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Notification",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "channel",
                    fields.ForeignKeyField(
                        "models.NotificationChannel",
                        source_field="channel_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "project",
                    fields.ForeignKeyField(
                        "models.Project",
                        source_field="project_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "event",
                    fields.CharEnumField(
                        description="alert_raised: alert_raised\nalert_resolved: alert_resolved\n"
                        "deployment_succeeded: deployment_succeeded\ndeployment_failed: deployment_failed\n"
                        "deployment_cancelled: deployment_cancelled\ntest: test",
                        enum_type=NotificationEvent,
                        max_length=32,
                    ),
                ),
                ("data", fields.JSONField(default=dict, encoder=ENCODER, decoder=loads)),
                (
                    "status",
                    fields.CharEnumField(
                        default=NotificationStatus.pending,
                        description="pending: pending\nsent: sent\nfailed: failed",
                        enum_type=NotificationStatus,
                        max_length=16,
                    ),
                ),
                ("tries", fields.IntField(default=0)),
                ("due_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("error", fields.TextField(null=True, unique=False)),
            ],
            options={
                "table": "notification",
                "app": "models",
                "indexes": [
                    Index(fields=["channel_id", "created_at"]),
                    Index(fields=["project_id", "created_at"]),
                    Index(fields=["created_at"]),
                ],
                "pk_attr": "id",
                "table_description": "What a channel is told. Its id is told with it, so that whoever hears it twice can know.",
            },
            bases=["Row"],
        ),
        ops.AddField(
            model_name="Application",
            name="alert_rules",
            field=fields.JSONField(null=True, encoder=ENCODER, decoder=loads),
        ),
        ops.RunSQL(BESIDE, reverse_sql=""),
    ]
