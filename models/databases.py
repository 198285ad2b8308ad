"""The rows of databases: what the user wants to run, and the backups and restores of what is in it."""

from typing import Any
from uuid import UUID

from tortoise import fields

from models.enums import BackupTrigger, DatabaseStatus, DatabaseType, StorageKind, TaskStatus
from models.rows import Project, Row
from models.secrets import EncryptedJSONField


class Database(Row):
    """A server of one of the engines with its data; the worker makes it so."""

    name = fields.CharField(max_length=50)
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    type = fields.CharEnumField(DatabaseType, max_length=16)
    version = fields.CharField(max_length=16)
    service_name = fields.CharField(max_length=63, unique=True)
    status = fields.CharEnumField(DatabaseStatus, max_length=16, default=DatabaseStatus.pending)
    error_message = fields.TextField(null=True)
    """Why it does not run, if it should."""
    credentials = EncryptedJSONField()
    """As `workers.databases.contract.Credentials`; with `next_password` while the password is being changed."""
    generation = fields.IntField(default=1)
    """Which of its passwords this is: secrets of Swarm never change, so each has its own."""
    configuration: dict[str, Any] = fields.JSONField(default=dict)
    memory_limit = fields.IntField()
    """MiB."""
    storage_size = fields.IntField()
    """MiB that its data should not exceed."""
    volume = fields.CharField(max_length=127)
    """The volume that holds its data now: a restore may put another one in its place."""
    stopped = fields.BooleanField(default=False)
    """Whether nobody wants it to run."""
    wished = fields.IntField(default=1)
    """Raised with every wish, the first of which is to be made."""
    granted = fields.IntField(default=0)
    restart_wish = fields.IntField(default=0)
    revision = fields.CharField(max_length=16, null=True)
    """Of the service as Swarm was told last: another version of this program may describe it otherwise without a reason to restart it."""
    settler = fields.CharField(max_length=128, null=True)
    """The worker that is granting the wishes, or replacing the data."""
    settle_until = fields.DatetimeField(null=True)
    delete_volumes = fields.BooleanField(default=False)
    delete_backups = fields.BooleanField(default=False)
    size = fields.BigIntField(null=True)
    """Bytes of its data as the server counts them; this and what follows was measured at `sampled_at`."""
    connections = fields.IntField(null=True)
    queries = fields.BigIntField(null=True)
    """Since the server was started."""
    cache_hit_rate = fields.FloatField(null=True)
    """Of 1."""
    current_memory = fields.IntField(null=True)
    """MiB."""
    current_storage = fields.IntField(null=True)
    """MiB of its volume."""
    sampled_at = fields.DatetimeField(null=True)
    storage_alert = fields.BooleanField(default=False)
    """Whether its volume holds nine tenths of `storage_size` or more."""
    schedule: dict[str, Any] | None = fields.JSONField(null=True)
    """`cron`, `time_zone`, `keep_last`, `keep_days` and `storage` of its regular backups."""
    next_backup_at = fields.DatetimeField(null=True)
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        """`database` is no reserved word in Postgres."""

        table = "database"


class Task(Row):
    """Work on a database's data that one worker at a time holds, by a lease; see `workers.databases.tasks` for its life."""

    status = fields.CharEnumField(TaskStatus, max_length=16, default=TaskStatus.pending)
    epoch = fields.IntField(default=0)
    attempt = fields.IntField(default=0)
    worker = fields.CharField(max_length=128, null=True)
    lease_until = fields.DatetimeField(null=True)
    cancel_requested_at = fields.DatetimeField(null=True)
    rung_at = fields.DatetimeField(null=True)
    step = fields.CharField(max_length=32, null=True)
    """What it is doing just now."""
    transferred = fields.BigIntField(default=0)
    """Bytes that have passed in this step."""
    error_code = fields.CharField(max_length=32, null=True)
    error_message = fields.TextField(null=True)
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        """No table of its own."""

        abstract = True


class DatabaseBackup(Task):
    """What a database held at one moment: it counts once it was read back."""

    database_id: UUID
    database: fields.ForeignKeyRelation[Database] = fields.ForeignKeyField("models.Database", related_name=False, on_delete=fields.CASCADE)
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    name = fields.CharField(max_length=100)
    trigger = fields.CharEnumField(BackupTrigger, max_length=16, default=BackupTrigger.manual)
    type = fields.CharEnumField(DatabaseType, max_length=16)
    version = fields.CharField(max_length=16)
    """The engine's version that it was taken from; of an upload, that of the database it was uploaded to."""
    compress = fields.BooleanField(default=True)
    storage = fields.CharEnumField(StorageKind, max_length=16)
    encrypted = fields.BooleanField(default=False)
    object_name = fields.CharField(max_length=255, null=True)
    """Its name in the storage, once there is something."""
    file_name = fields.CharField(max_length=255, null=True)
    """What it is called when it is downloaded."""
    size = fields.BigIntField(null=True)
    """Bytes as they are downloaded."""
    stored_size = fields.BigIntField(null=True)
    """Bytes as they are stored, which are more when it is encrypted."""
    checksum = fields.CharField(max_length=64, null=True)
    """SHA-256 of the bytes as they are downloaded."""
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        """One at a time for each database."""

        table = "database_backup"


class DatabaseRestore(Task):
    """A database's data being replaced by those of a backup."""

    database_id: UUID
    database: fields.ForeignKeyRelation[Database] = fields.ForeignKeyField("models.Database", related_name=False, on_delete=fields.CASCADE)
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    backup_id: UUID
    backup: fields.ForeignKeyRelation[DatabaseBackup] = fields.ForeignKeyField(
        "models.DatabaseBackup", related_name=False, on_delete=fields.CASCADE
    )
    safety_backup_id = fields.UUIDField(null=True)
    """What was there before; none of a database that was made for this restore."""
    volume = fields.CharField(max_length=127, null=True)
    """The volume that had the data before a fresh one took its place: until the restore is complete it can come back."""

    class Meta:
        """One at a time for each database."""

        table = "database_restore"
