"""Tiers and disabled accounts, the audit trail, and the answers kept for their Idempotency-Key."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import RateTier

INDEXES = [
    "create index audit_by_time on audit (created_at desc, id desc)",
    "create index audit_by_user on audit (user_id, created_at desc, id desc)",
    "create index audit_by_resource on audit (resource_id, created_at desc, id desc)",
    "create index kept_answer_by_time on kept_answer (created_at)",
    "create index session_by_end on session (expires_at)",
    "create index account_by_time on account (created_at desc, id desc)",
    "create index membership_by_team on membership (team_id, created_at desc, id desc)",
]


class Migration(migrations.Migration):
    """What is kept about requests beside what they change."""

    dependencies = [("models", "0003_reads")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.SET_NULL,
                    ),
                ),
                ("username", fields.CharField(null=True, max_length=32)),
                ("action", fields.CharField(max_length=64)),
                ("outcome", fields.CharField(max_length=32)),
                ("resource_type", fields.CharField(null=True, max_length=32)),
                ("resource_id", fields.UUIDField(null=True)),
                (
                    "fields_given",
                    fields.JSONField(default=list, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads),
                ),
                ("address", fields.CharField(null=True, max_length=45)),
                ("request_id", fields.CharField(max_length=64)),
            ],
            options={
                "table": "audit",
                "app": "models",
                "pk_attr": "id",
                "table_description": "Who did what to which resource, from where: written with the change itself, and never changed.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("key", fields.CharField(max_length=255)),
                ("fingerprint", fields.CharField(max_length=64)),
                ("status", fields.IntField()),
                ("body", fields.BinaryField()),
            ],
            options={
                "table": "kept_answer",
                "app": "models",
                "unique_together": (("user", "key"),),
                "pk_attr": "id",
                "table_description": "The first answer to a request that carries an Idempotency-Key.",
            },
            bases=["Row"],
        ),
        ops.AddField(model_name="User", name="disabled_at", field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
        ops.AddField(
            model_name="User",
            name="tier",
            field=fields.CharEnumField(
                default=RateTier.authenticated,
                description="authenticated: authenticated\npremium: premium",
                db_default="authenticated",
                enum_type=RateTier,
                max_length=16,
            ),
        ),
        ops.RunSQL(INDEXES, reverse_sql=""),
    ]
