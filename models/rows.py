"""The rows. Ids are UUIDv7: unique across tables and in the order of creation (DECISIONS 2)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model
from uuid_utils.compat import uuid7

from models.enums import (
    ApplicationStatus,
    DeploymentKind,
    DeploymentStatus,
    DeploymentTrigger,
    EventKind,
    GlobalRole,
    HealthStatus,
    LogLevel,
    RateTier,
    StageName,
    StageStatus,
    TeamRole,
)
from models.secrets import EncryptedJSONField

OWNERS_LOCK = 0x6F776E72
"""The advisory lock of whoever makes or unmakes an owner."""


class Row(Model):
    """What every entity has."""

    id = fields.UUIDField(primary_key=True, default=uuid7)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        """No table of its own."""

        abstract = True


class Installation(Row):
    """This installation: its id is on everything it makes in Docker, so that it never takes away what is another's."""

    class Meta:
        """One row, made by a migration."""

        table = "installation"


class User(Row):
    """Somebody who can log in; name and e-mail are kept in lower case."""

    username = fields.CharField(max_length=32, unique=True)
    email = fields.CharField(max_length=254, unique=True)
    password_hash = fields.TextField(null=True)
    """None of whoever logs in by an account elsewhere alone."""
    role = fields.CharEnumField(GlobalRole, max_length=16)
    tier = fields.CharEnumField(RateTier, max_length=16, default=RateTier.authenticated, db_default=RateTier.authenticated.value)
    disabled_at = fields.DatetimeField(null=True)
    """Since when they may not log in any more."""
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        """`user` is a reserved word in SQL."""

        table = "account"


class Session(Row):
    """A login; its id is the `jti` of the token, and a token without its row is worth nothing."""

    user_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.CASCADE)
    expires_at = fields.DatetimeField()

    class Meta:
        """Named as what it is."""

        table = "session"


class Team(Row):
    """People who share projects."""

    name = fields.CharField(max_length=50, unique=True)
    description = fields.TextField(default="")
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        """Named as what it is."""

        table = "team"


class Membership(Row):
    """Somebody's role in a team."""

    team_id: UUID
    team: fields.ForeignKeyRelation[Team] = fields.ForeignKeyField("models.Team", related_name=False, on_delete=fields.CASCADE)
    user_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.CASCADE)
    role = fields.CharEnumField(TeamRole, max_length=16)

    class Meta:
        """One role per person and team."""

        table = "membership"
        unique_together = (("team", "user"),)


class Project(Row):
    """A set of applications with one owner and at most one team; a deleted one keeps its row for 30 days."""

    name = fields.CharField(max_length=50)
    description = fields.TextField(default="")
    owner_id: UUID
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.RESTRICT)
    team_id: UUID | None
    team: fields.ForeignKeyNullableRelation[Team] = fields.ForeignKeyField(
        "models.Team", related_name=False, on_delete=fields.RESTRICT, null=True
    )
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        """Named as what it is."""

        table = "project"


class Application(Row):
    """What the user wants to run; the worker makes it so."""

    name = fields.CharField(max_length=50)
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    service_name = fields.CharField(max_length=63, unique=True)
    image = fields.CharField(max_length=512, null=True)
    status = fields.CharEnumField(ApplicationStatus, max_length=16, default=ApplicationStatus.pending)
    health_status = fields.CharEnumField(HealthStatus, max_length=16, default=HealthStatus.unknown)
    replicas = fields.IntField(default=1)
    stop_grace_period = fields.IntField(default=10, db_default=10)
    """Seconds that a container is given to end by itself."""
    env_vars = EncryptedJSONField()
    ports: list[dict[str, Any]] = fields.JSONField(default=list)
    volumes: list[dict[str, Any]] = fields.JSONField(default=list)
    health_check: dict[str, Any] | None = fields.JSONField(null=True)
    resources: dict[str, Any] | None = fields.JSONField(null=True)
    git_source: dict[str, Any] | None = fields.JSONField(null=True)
    repository = fields.CharField(max_length=512, null=True, db_index=True)
    """The source as `models.repositories.key_of` has it, by which webhooks find it."""
    git_token = EncryptedJSONField(null=True)
    """The `token` that opens the source over HTTPS, and by which commits are told of their deployments."""
    deploy_key = fields.TextField(null=True)
    """The public half of the key that opens the source over SSH."""
    deploy_key_private = EncryptedJSONField(null=True)
    """The other half, `pem`, in OpenSSH's format."""
    host_keys = fields.TextField(null=True)
    """The keys of the source's host, as the first clone over SSH found them; it is trusted with no others."""
    webhook_secret = EncryptedJSONField(null=True)
    """The `secret` by which webhooks are known to be meant for this application."""
    watch_paths: list[str] = fields.JSONField(default=list, db_default="[]")
    alert_rules: list[dict[str, Any]] | None = fields.JSONField(null=True)
    """Each a `models.alerts.Rule`; None is the usual ones."""
    last_commit_sha = fields.CharField(max_length=64, null=True)
    last_sync = fields.DatetimeField(null=True)
    wished = fields.IntField(default=0)
    """Raised with every wish that is a task (scale, restart, delete)."""
    granted = fields.IntField(default=0)
    """The last wish that Swarm was told."""
    restart_wish = fields.IntField(default=0)
    """The wish that was the last restart."""
    settler = fields.CharField(max_length=128, null=True)
    """The worker that is granting the wishes."""
    settle_until = fields.DatetimeField(null=True)
    """How long the settler owns the service without renewing."""
    delete_volumes = fields.BooleanField(default=False)
    updated_at = fields.DatetimeField(auto_now=True)
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        """Named as what it is."""

        table = "application"


class PublishedPort(Row):
    """A port of the host that belongs to one application."""

    port = fields.IntField(unique=True)
    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )

    class Meta:
        """Named as what it is."""

        table = "published_port"


class Deployment(Row):
    """One run of a task graph with the configuration frozen in `snapshot`; see `workers.states` for its life."""

    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    kind = fields.CharEnumField(DeploymentKind, max_length=16)
    status = fields.CharEnumField(DeploymentStatus, max_length=16, default=DeploymentStatus.pending)
    trigger = fields.CharEnumField(
        DeploymentTrigger, max_length=16, default=DeploymentTrigger.manual, db_default=DeploymentTrigger.manual.value
    )
    delivery = fields.CharField(max_length=255, null=True)
    """What the sender of a webhook calls its delivery: one deployment per application and delivery."""
    superseded_by = fields.UUIDField(null=True)
    """The newer deployment that took its place in line."""
    snapshot = EncryptedJSONField()
    force = fields.BooleanField(default=False)
    branch = fields.CharField(max_length=255, null=True)
    commit_sha = fields.CharField(max_length=64, null=True)
    commit_message = fields.TextField(null=True)
    author = fields.TextField(null=True)
    image = fields.CharField(max_length=512, null=True)
    image_id = fields.CharField(max_length=512, null=True)
    image_gone = fields.BooleanField(default=False, db_default=False)
    """Whether its image is no longer on the host, so that nobody can go back to it."""
    previous_deployment_id = fields.UUIDField(null=True)
    epoch = fields.IntField(default=0)
    attempt = fields.IntField(default=0)
    worker = fields.CharField(max_length=128, null=True)
    lease_until = fields.DatetimeField(null=True)
    cancel_requested_at = fields.DatetimeField(null=True)
    queue_position = fields.IntField(null=True)
    """The position that its followers were told last."""
    reported = fields.CharField(max_length=16, null=True)
    """The state that the provider of its source was told last."""
    report_tries = fields.IntField(default=0, db_default=0)
    report_due = fields.DatetimeField(null=True)
    """When the provider, which did not take the last report, is told again."""
    progress = fields.IntField(default=0)
    last_seq = fields.IntField(default=0)
    rung_at = fields.DatetimeField(null=True)
    ports: list[dict[str, Any]] | None = fields.JSONField(null=True)
    """Of a success that is reached through the edge: the ports that its containers listen on; None when Docker publishes them."""
    error_code = fields.CharField(max_length=32, null=True)
    error_message = fields.TextField(null=True)
    error_output = fields.TextField(null=True)
    """The last lines of whatever failed."""
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)
    duration = fields.IntField(null=True)
    """Seconds from the start of the first stage to the end."""
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        """Named as what it is."""

        table = "deployment"


class Stage(Row):
    """One stage of a deployment's task graph."""

    deployment_id: UUID
    deployment: fields.ForeignKeyRelation[Deployment] = fields.ForeignKeyField(
        "models.Deployment", related_name=False, on_delete=fields.CASCADE
    )
    position = fields.IntField()
    name = fields.CharEnumField(StageName, max_length=16)
    status = fields.CharEnumField(StageStatus, max_length=16, default=StageStatus.pending)
    started_at = fields.DatetimeField(null=True)
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        """One row per stage and deployment."""

        table = "stage"
        unique_together = (("deployment", "position"),)


class Event(Model):
    """What happened to a deployment; `seq` counts from 1 without a gap within one deployment."""

    id = fields.BigIntField(primary_key=True)
    deployment_id: UUID
    deployment: fields.ForeignKeyRelation[Deployment] = fields.ForeignKeyField(
        "models.Deployment", related_name=False, on_delete=fields.CASCADE
    )
    seq = fields.IntField()
    at: datetime = fields.DatetimeField()
    kind = fields.CharEnumField(EventKind, max_length=16)
    status = fields.CharEnumField(DeploymentStatus, max_length=16)
    stage = fields.CharEnumField(StageName, max_length=16, null=True)
    progress = fields.IntField()
    level = fields.CharEnumField(LogLevel, max_length=16)
    message = fields.TextField()
    queue_position = fields.IntField(null=True)
    estimated_time = fields.IntField(null=True)
    """Seconds; both only when the event tells of the queue."""

    class Meta:
        """The pair is what a client resumes from."""

        table = "event"
        unique_together = (("deployment", "seq"),)


class AuditEntry(Row):
    """Who did what to which resource, from where: written with the change itself, and never changed."""

    user_id: UUID | None
    user: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name=False, on_delete=fields.SET_NULL, null=True
    )
    username = fields.CharField(max_length=32, null=True)
    action = fields.CharField(max_length=64)
    """The operation's id."""
    outcome = fields.CharField(max_length=32)
    """`success`, or the code of the error."""
    resource_type = fields.CharField(max_length=32, null=True)
    resource_id = fields.UUIDField(null=True)
    fields_given: list[list[str | None]] = fields.JSONField(default=list)
    """Pairs of a field's name and its value; the value only where it is an id or one of a closed set."""
    address = fields.CharField(max_length=45, null=True)
    request_id = fields.CharField(max_length=64)

    class Meta:
        """Named as what it is."""

        table = "audit"


class KeptAnswer(Row):
    """The first answer to a request that carries an Idempotency-Key."""

    user_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("models.User", related_name=False, on_delete=fields.CASCADE)
    key = fields.CharField(max_length=255)
    fingerprint = fields.CharField(max_length=64)
    """SHA-256 of what was asked."""
    status = fields.IntField()
    body = fields.BinaryField()

    class Meta:
        """One answer per person and key."""

        table = "kept_answer"
        unique_together = (("user", "key"),)
