"""Databases, the backups of what is in them, and the restores."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import BackupTrigger, DatabaseStatus, DatabaseType, StorageKind, TaskStatus
from models.secrets import EncryptedJSONField

ENCODER = functools.partial(dumps, separators=(",", ":"))

GUARDS = [
    "create unique index database_name on database (project_id, name) where deleted_at is null",
    "create unique index one_running_backup on database_backup (database_id) where status = 'running'",
    "create unique index one_running_restore on database_restore (database_id) where status = 'running'",
]
INDEXES = [
    "create index database_by_project on database (project_id, created_at desc, id desc)",
    "create index database_by_time on database (created_at desc, id desc)",
    "create index database_search on database using gin (trigrams(name))",
    "create index database_unsettled on database (id) where wished > granted",
    "create index database_to_back_up on database (next_backup_at) where next_backup_at is not null",
    *[
        statement
        for table in ("database_backup", "database_restore")
        for statement in (
            f"create index {table}_by_database on {table} (database_id, created_at desc, id desc)",
            f"create index {table}_by_project on {table} (project_id)",
            f"create index {table}_unfinished on {table} (id) where status in ('pending', 'running')",
        )
    ],
    "create index database_restore_by_backup on database_restore (backup_id)",
]


class Migration(migrations.Migration):
    """What holds data that cannot be built again."""

    dependencies = [("models", "0008_doors")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="Database",
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
                (
                    "type",
                    fields.CharEnumField(
                        description="postgresql: postgresql\nmysql: mysql\nmongodb: mongodb\nredis: redis",
                        enum_type=DatabaseType,
                        max_length=16,
                    ),
                ),
                ("version", fields.CharField(max_length=16)),
                ("service_name", fields.CharField(unique=True, max_length=63)),
                (
                    "status",
                    fields.CharEnumField(
                        default=DatabaseStatus.pending,
                        description="pending: pending\nstarting: starting\nrunning: running\nrestoring: restoring\nstopped: stopped\nerror: error",
                        enum_type=DatabaseStatus,
                        max_length=16,
                    ),
                ),
                ("error_message", fields.TextField(null=True, unique=False)),
                ("credentials", EncryptedJSONField(generated=False, null=False, unique=False)),
                ("generation", fields.IntField(default=1)),
                ("configuration", fields.JSONField(default=dict, encoder=ENCODER, decoder=loads)),
                ("memory_limit", fields.IntField()),
                ("storage_size", fields.IntField()),
                ("volume", fields.CharField(max_length=127)),
                ("stopped", fields.BooleanField(default=False)),
                ("wished", fields.IntField(default=1)),
                ("granted", fields.IntField(default=0)),
                ("restart_wish", fields.IntField(default=0)),
                ("revision", fields.CharField(null=True, max_length=16)),
                ("settler", fields.CharField(null=True, max_length=128)),
                ("settle_until", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("delete_volumes", fields.BooleanField(default=False)),
                ("delete_backups", fields.BooleanField(default=False)),
                ("size", fields.BigIntField(null=True)),
                ("connections", fields.IntField(null=True)),
                ("queries", fields.BigIntField(null=True)),
                ("cache_hit_rate", fields.FloatField(null=True)),
                ("current_memory", fields.IntField(null=True)),
                ("current_storage", fields.IntField(null=True)),
                ("sampled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("storage_alert", fields.BooleanField(default=False)),
                ("schedule", fields.JSONField(null=True, encoder=ENCODER, decoder=loads)),
                ("next_backup_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("updated_at", fields.DatetimeField(auto_now=True, auto_now_add=False)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "database",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A server of one of the engines with its data; the worker makes it so.",
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="DatabaseBackup",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "status",
                    fields.CharEnumField(
                        default=TaskStatus.pending,
                        description="pending: pending\nrunning: running\ncompleted: completed\nfailed: failed\ncancelled: cancelled",
                        enum_type=TaskStatus,
                        max_length=16,
                    ),
                ),
                ("epoch", fields.IntField(default=0)),
                ("attempt", fields.IntField(default=0)),
                ("worker", fields.CharField(null=True, max_length=128)),
                ("lease_until", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("cancel_requested_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("rung_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("step", fields.CharField(null=True, max_length=32)),
                ("transferred", fields.BigIntField(default=0)),
                ("error_code", fields.CharField(null=True, max_length=32)),
                ("error_message", fields.TextField(null=True, unique=False)),
                ("started_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "database",
                    fields.ForeignKeyField(
                        "models.Database",
                        source_field="database_id",
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
                ("name", fields.CharField(max_length=100)),
                (
                    "trigger",
                    fields.CharEnumField(
                        default=BackupTrigger.manual,
                        description="manual: manual\nschedule: schedule\nsafety: safety\nupload: upload",
                        enum_type=BackupTrigger,
                        max_length=16,
                    ),
                ),
                (
                    "type",
                    fields.CharEnumField(
                        description="postgresql: postgresql\nmysql: mysql\nmongodb: mongodb\nredis: redis",
                        enum_type=DatabaseType,
                        max_length=16,
                    ),
                ),
                ("version", fields.CharField(max_length=16)),
                ("compress", fields.BooleanField(default=True)),
                ("storage", fields.CharEnumField(description="local: local\ns3: s3", enum_type=StorageKind, max_length=16)),
                ("encrypted", fields.BooleanField(default=False)),
                ("object_name", fields.CharField(null=True, max_length=255)),
                ("file_name", fields.CharField(null=True, max_length=255)),
                ("size", fields.BigIntField(null=True)),
                ("stored_size", fields.BigIntField(null=True)),
                ("checksum", fields.CharField(null=True, max_length=64)),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "database_backup",
                "app": "models",
                "pk_attr": "id",
                "table_description": "What a database held at one moment: it counts once it was read back.",
            },
            bases=["Task"],
        ),
        ops.CreateModel(
            name="DatabaseRestore",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "status",
                    fields.CharEnumField(
                        default=TaskStatus.pending,
                        description="pending: pending\nrunning: running\ncompleted: completed\nfailed: failed\ncancelled: cancelled",
                        enum_type=TaskStatus,
                        max_length=16,
                    ),
                ),
                ("epoch", fields.IntField(default=0)),
                ("attempt", fields.IntField(default=0)),
                ("worker", fields.CharField(null=True, max_length=128)),
                ("lease_until", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("cancel_requested_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("rung_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("step", fields.CharField(null=True, max_length=32)),
                ("transferred", fields.BigIntField(default=0)),
                ("error_code", fields.CharField(null=True, max_length=32)),
                ("error_message", fields.TextField(null=True, unique=False)),
                ("started_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "database",
                    fields.ForeignKeyField(
                        "models.Database",
                        source_field="database_id",
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
                    "backup",
                    fields.ForeignKeyField(
                        "models.DatabaseBackup",
                        source_field="backup_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("safety_backup_id", fields.UUIDField(null=True)),
                ("volume", fields.CharField(null=True, max_length=127)),
            ],
            options={
                "table": "database_restore",
                "app": "models",
                "pk_attr": "id",
                "table_description": "A database's data being replaced by those of a backup.",
            },
            bases=["Task"],
        ),
        ops.RunSQL([*GUARDS, *INDEXES], reverse_sql=""),
    ]
