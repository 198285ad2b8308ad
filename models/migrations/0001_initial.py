import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import (
    ApplicationStatus,
    DeploymentKind,
    DeploymentStatus,
    EventKind,
    GlobalRole,
    HealthStatus,
    LogLevel,
    StageName,
    StageStatus,
    TeamRole,
)
from models.secrets import EncryptedJSONField


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Team",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("name", fields.CharField(unique=True, max_length=50)),
                ("description", fields.TextField(default="", unique=False)),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
            ],
            options={"table": "team", "app": "models", "pk_attr": "id", "table_description": "People who share projects."},
            bases=["Row"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("username", fields.CharField(unique=True, max_length=32)),
                ("email", fields.CharField(unique=True, max_length=254)),
                ("password_hash", fields.TextField(unique=False)),
                (
                    "role",
                    fields.CharEnumField(description="owner: owner\nadmin: admin\nmember: member", enum_type=GlobalRole, max_length=16),
                ),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
            ],
            options={
                "table": "account",
                "app": "models",
                "pk_attr": "id",
                "table_description": "Somebody who can log in; name and e-mail are kept in lower case.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Membership",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "team",
                    fields.ForeignKeyField(
                        "models.Team",
                        source_field="team_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
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
                (
                    "role",
                    fields.CharEnumField(
                        description="admin: admin\ndeveloper: developer\nviewer: viewer", enum_type=TeamRole, max_length=16
                    ),
                ),
            ],
            options={
                "table": "membership",
                "app": "models",
                "unique_together": (("team", "user"),),
                "pk_attr": "id",
                "table_description": "Somebody's role in a team.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Project",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("name", fields.CharField(max_length=50)),
                ("description", fields.TextField(default="", unique=False)),
                (
                    "owner",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="owner_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "team",
                    fields.ForeignKeyField(
                        "models.Team",
                        source_field="team_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "project",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A set of applications with one owner and at most one team; a deleted one keeps its row for 30 days.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Application",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("name", fields.CharField(max_length=50)),
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
                ("service_name", fields.CharField(unique=True, max_length=63)),
                ("image", fields.CharField(null=True, max_length=512)),
                (
                    "status",
                    fields.CharEnumField(
                        default=ApplicationStatus.pending,
                        description="pending: pending\ndeploying: deploying\nrunning: running\nstopped: stopped\nerror: error",
                        enum_type=ApplicationStatus,
                        max_length=16,
                    ),
                ),
                (
                    "health_status",
                    fields.CharEnumField(
                        default=HealthStatus.unknown,
                        description="healthy: healthy\nstarting: starting\nunhealthy: unhealthy\nunknown: unknown",
                        enum_type=HealthStatus,
                        max_length=16,
                    ),
                ),
                ("replicas", fields.IntField(default=1)),
                ("env_vars", EncryptedJSONField(generated=False, null=False, unique=False)),
                ("ports", fields.JSONField(default=list, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("volumes", fields.JSONField(default=list, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("health_check", fields.JSONField(null=True, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("resources", fields.JSONField(null=True, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("git_source", fields.JSONField(null=True, encoder=functools.partial(dumps, separators=(",", ":")), decoder=loads)),
                ("last_commit_sha", fields.CharField(null=True, max_length=64)),
                ("last_sync", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("wished", fields.IntField(default=0)),
                ("granted", fields.IntField(default=0)),
                ("restart_wish", fields.IntField(default=0)),
                ("delete_volumes", fields.BooleanField(default=False)),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "application",
                "app": "models",
                "pk_attr": "id",
                "table_description": "What the user wants to run; the worker makes it so.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Deployment",
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
                    "kind",
                    fields.CharEnumField(
                        description="git: git\nimage: image\nconfig: config\nrollback: rollback", enum_type=DeploymentKind, max_length=16
                    ),
                ),
                (
                    "status",
                    fields.CharEnumField(
                        default=DeploymentStatus.pending,
                        description="pending: pending\ncloning: cloning\nbuilding: building\ndeploying: deploying\nsuccess: success\nfailed: failed\ncancelled: cancelled",
                        enum_type=DeploymentStatus,
                        max_length=16,
                    ),
                ),
                ("snapshot", EncryptedJSONField(generated=False, null=False, unique=False)),
                ("force", fields.BooleanField(default=False)),
                ("branch", fields.CharField(null=True, max_length=255)),
                ("commit_sha", fields.CharField(null=True, max_length=64)),
                ("commit_message", fields.TextField(null=True, unique=False)),
                ("author", fields.TextField(null=True, unique=False)),
                ("image", fields.CharField(null=True, max_length=512)),
                ("image_id", fields.CharField(null=True, max_length=512)),
                ("previous_deployment_id", fields.UUIDField(null=True)),
                ("epoch", fields.IntField(default=0)),
                ("attempt", fields.IntField(default=0)),
                ("worker", fields.CharField(null=True, max_length=128)),
                ("lease_until", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("progress", fields.IntField(default=0)),
                ("last_seq", fields.IntField(default=0)),
                ("rung_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("error_code", fields.CharField(null=True, max_length=32)),
                ("error_message", fields.TextField(null=True, unique=False)),
                ("error_output", fields.TextField(null=True, unique=False)),
                ("started_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("duration", fields.IntField(null=True)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "deployment",
                "app": "models",
                "pk_attr": "id",
                "table_description": "One run of a task graph with the configuration frozen in `snapshot`; see `workers.states` for its life.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Event",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "deployment",
                    fields.ForeignKeyField(
                        "models.Deployment",
                        source_field="deployment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("seq", fields.IntField()),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                (
                    "kind",
                    fields.CharEnumField(description="status: status\nprogress: progress\nlog: log", enum_type=EventKind, max_length=16),
                ),
                (
                    "status",
                    fields.CharEnumField(
                        description="pending: pending\ncloning: cloning\nbuilding: building\ndeploying: deploying\nsuccess: success\nfailed: failed\ncancelled: cancelled",
                        enum_type=DeploymentStatus,
                        max_length=16,
                    ),
                ),
                (
                    "stage",
                    fields.CharEnumField(
                        null=True,
                        description="cloning: cloning\nbuilding: building\ndeploying: deploying",
                        enum_type=StageName,
                        max_length=16,
                    ),
                ),
                ("progress", fields.IntField()),
                (
                    "level",
                    fields.CharEnumField(
                        description="debug: debug\ninfo: info\nwarning: warning\nerror: error", enum_type=LogLevel, max_length=16
                    ),
                ),
                ("message", fields.TextField(unique=False)),
            ],
            options={
                "table": "event",
                "app": "models",
                "unique_together": (("deployment", "seq"),),
                "pk_attr": "id",
                "table_description": "What happened to a deployment; `seq` counts from 1 without a gap within one deployment.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="PublishedPort",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                ("port", fields.IntField(unique=True)),
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
            ],
            options={
                "table": "published_port",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A port of the host that belongs to one application.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Session",
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
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "session",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A login; its id is the `jti` of the token, and a token without its row is worth nothing.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="Stage",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "deployment",
                    fields.ForeignKeyField(
                        "models.Deployment",
                        source_field="deployment_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("position", fields.IntField()),
                (
                    "name",
                    fields.CharEnumField(
                        description="cloning: cloning\nbuilding: building\ndeploying: deploying", enum_type=StageName, max_length=16
                    ),
                ),
                (
                    "status",
                    fields.CharEnumField(
                        default=StageStatus.pending,
                        description="pending: pending\nrunning: running\ncompleted: completed\nfailed: failed\nskipped: skipped",
                        enum_type=StageStatus,
                        max_length=16,
                    ),
                ),
                ("started_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "stage",
                "app": "models",
                "unique_together": (("deployment", "position"),),
                "pk_attr": "id",
                "table_description": "One stage of a deployment's task graph.",
            },
            bases=["Row"],
        ),
    ]
