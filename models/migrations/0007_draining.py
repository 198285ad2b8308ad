"""How long an application's containers are given to end by themselves."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    """What it takes that each application drains as it needs to."""

    dependencies = [("models", "0006_edge")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.AddField(model_name="Application", name="stop_grace_period", field=fields.IntField(default=10, db_default=10)),
    ]
