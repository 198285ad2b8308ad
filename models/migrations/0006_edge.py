"""What the edges of the nodes say of themselves, and the ports that a success listens on."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

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
        ops.AddField(model_name="Deployment", name="ports", field=fields.JSONField(null=True, encoder=ENCODER, decoder=loads)),
    ]
