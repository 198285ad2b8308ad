"""Domains, what the edges of the nodes say of themselves, and the ports that a success listens on."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import CertificateSource, CertificateStatus
from models.secrets import EncryptedJSONField

ENCODER = functools.partial(dumps, separators=(",", ":"))


class Migration(migrations.Migration):
    """What it takes that every port is reached."""

    dependencies = [("models", "0005_faults")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="EdgeNode",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("name", fields.CharField(unique=True, max_length=255)),
                ("seen_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("served", fields.JSONField(default=list, encoder=ENCODER, decoder=loads)),
                ("left_out", fields.JSONField(default=list, encoder=ENCODER, decoder=loads)),
                ("trouble", fields.TextField(null=True, unique=False)),
            ],
            options={
                "table": "edge_node",
                "app": "models",
                "pk_attr": "id",
                "table_description": "What the edge of one node has said of itself last.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Traffic",
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
                ("seconds", fields.FloatField()),
                ("requests", fields.IntField()),
                ("errors", fields.IntField()),
                ("p50", fields.FloatField()),
                ("p95", fields.FloatField()),
                ("p99", fields.FloatField()),
            ],
            options={
                "table": "traffic",
                "app": "models",
                "indexes": (("application_id", "created_at"), ("created_at",)),
                "pk_attr": "id",
                "table_description": "What the edge has passed on to an application in the seconds before it was counted.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Domain",
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
                ("domain", fields.CharField(max_length=253)),
                ("path", fields.CharField(max_length=255)),
                ("container_port", fields.IntField(null=True)),
                ("redirect_to", fields.CharField(null=True, max_length=253)),
                (
                    "certificate",
                    fields.CharEnumField(
                        description="acme: acme\ninternal: internal\nown: own", enum_type=CertificateSource, max_length=16
                    ),
                ),
                ("own", EncryptedJSONField(generated=False, null=True, unique=False)),
                (
                    "certificate_status",
                    fields.CharEnumField(
                        default=CertificateStatus.pending,
                        description="pending: pending\nvalid: valid\nexpiring: expiring\nfailed: failed",
                        enum_type=CertificateStatus,
                        max_length=16,
                    ),
                ),
                ("certificate_error", fields.TextField(null=True, unique=False)),
                ("expires_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "domain",
                "app": "models",
                "unique_together": (("domain", "path"),),
                "pk_attr": "id",
                "table_description": "A name, or a part of its paths, under which the edge serves an application.",
            },
            bases=["Row"],
        ),
        ops.AddField(model_name="Deployment", name="ports", field=fields.JSONField(null=True, encoder=ENCODER, decoder=loads)),
    ]
