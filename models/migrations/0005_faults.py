"""Cancelling, superseding, the queue's events, the lease of whoever settles an application, and this installation's own id."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import DeploymentTrigger, EventKind

GUARDS = [
    "insert into installation (id, created_at) values (gen_random_uuid(), now())",
    "create unique index one_deployment_per_delivery on deployment (application_id, delivery) where delivery is not null",
    "create index deployment_waiting on deployment (application_id, id) where status = 'pending'",
    "create index deployment_with_image on deployment (application_id, finished_at desc, id desc) where image is not null",
    "create index project_deleted on project (deleted_at) where deleted_at is not null",
]


class Migration(migrations.Migration):
    """What it takes that no deployment is lost, doubled or stuck."""

    dependencies = [("models", "0004_records")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="Installation",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
            ],
            options={
                "table": "installation",
                "app": "models",
                "pk_attr": "id",
                "table_description": "This installation: its id is on everything it makes in Docker, "
                "so that it never takes away what is another's.",
            },
            bases=["Row"],
        ),
        ops.AddField(
            model_name="Application", name="settle_until", field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)
        ),
        ops.AddField(model_name="Application", name="settler", field=fields.CharField(null=True, max_length=128)),
        ops.AddField(
            model_name="Deployment", name="cancel_requested_at", field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)
        ),
        ops.AddField(model_name="Deployment", name="delivery", field=fields.CharField(null=True, max_length=255)),
        ops.AddField(model_name="Deployment", name="image_gone", field=fields.BooleanField(default=False, db_default=False)),
        ops.AddField(model_name="Deployment", name="queue_position", field=fields.IntField(null=True)),
        ops.AddField(model_name="Deployment", name="superseded_by", field=fields.UUIDField(null=True)),
        ops.AddField(
            model_name="Deployment",
            name="trigger",
            field=fields.CharEnumField(
                default=DeploymentTrigger.manual,
                description="manual: manual\nwebhook: webhook",
                db_default="manual",
                enum_type=DeploymentTrigger,
                max_length=16,
            ),
        ),
        ops.AlterField(
            model_name="Event",
            name="kind",
            field=fields.CharEnumField(
                description="status: status\nprogress: progress\nqueue: queue\nlog: log", enum_type=EventKind, max_length=16
            ),
        ),
        ops.AddField(model_name="Event", name="estimated_time", field=fields.IntField(null=True)),
        ops.AddField(model_name="Event", name="queue_position", field=fields.IntField(null=True)),
        ops.RunSQL(GUARDS, reverse_sql=""),
    ]
