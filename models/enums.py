"""The closed sets of values, each member in lower case as the API prints it (DECISIONS 15 and 17)."""

from enum import StrEnum, unique


@unique
class GlobalRole(StrEnum):
    """What somebody may do in the whole installation."""

    owner = "owner"
    admin = "admin"
    member = "member"


@unique
class RateTier(StrEnum):
    """How many requests somebody may send; whoever is not logged in is counted as anonymous."""

    authenticated = "authenticated"
    premium = "premium"


@unique
class TeamRole(StrEnum):
    """What a member may do with the projects of a team."""

    admin = "admin"
    developer = "developer"
    viewer = "viewer"


@unique
class ApplicationStatus(StrEnum):
    """Where an application stands."""

    pending = "pending"
    deploying = "deploying"
    running = "running"
    stopped = "stopped"
    error = "error"


@unique
class HealthStatus(StrEnum):
    """What the health checks of an application's containers say together."""

    healthy = "healthy"
    starting = "starting"
    unhealthy = "unhealthy"
    unknown = "unknown"


@unique
class DeploymentKind(StrEnum):
    """Where the image of a deployment comes from; it decides the task graph."""

    git = "git"
    image = "image"
    config = "config"
    rollback = "rollback"


@unique
class DeploymentTrigger(StrEnum):
    """Who asked for a deployment; only those of webhooks take each other's place in line (DECISIONS 21)."""

    manual = "manual"
    webhook = "webhook"


@unique
class DeploymentStatus(StrEnum):
    """The state of a deployment; the last three are terminal."""

    pending = "pending"
    cloning = "cloning"
    building = "building"
    deploying = "deploying"
    success = "success"
    failed = "failed"
    cancelled = "cancelled"


@unique
class CertificateSource(StrEnum):
    """Where a domain's certificate comes from."""

    acme = "acme"
    """An authority that everybody trusts, which looks whether the name leads here."""
    internal = "internal"
    """This installation's own authority: for names without public DNS."""
    own = "own"
    """Uploaded."""


@unique
class CertificateStatus(StrEnum):
    """How a domain's certificate is."""

    pending = "pending"
    valid = "valid"
    expiring = "expiring"
    """Its end is near, so that renewing it must have failed."""
    failed = "failed"


@unique
class StageName(StrEnum):
    """A stage of a task graph."""

    cloning = "cloning"
    building = "building"
    deploying = "deploying"


@unique
class StageStatus(StrEnum):
    """The state of one stage of a deployment."""

    pending = "pending"
    running = "running"
    completed = "completed"
    failed = "failed"
    skipped = "skipped"


@unique
class EventKind(StrEnum):
    """What an event tells."""

    status = "status"
    progress = "progress"
    queue = "queue"
    log = "log"


@unique
class LogLevel(StrEnum):
    """How serious a log line is."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


@unique
class GitProvider(StrEnum):
    """What kind of server a repository is on: it decides how commits are told of their deployments, and the name that goes with a token."""

    github = "github"
    gitlab = "gitlab"
    gitea = "gitea"
    """Forgejo, too."""
    bitbucket = "bitbucket"


@unique
class WebhookOutcome(StrEnum):
    """What became of a webhook."""

    queued = "queued"
    """It is a deployment."""
    ignored = "ignored"


@unique
class WebhookReason(StrEnum):
    """Why a webhook was ignored."""

    ping = "ping"
    event = "event"
    """It is of another kind than a push."""
    tag = "tag"
    branch_deleted = "branch_deleted"
    empty = "empty"
    """A push without commits that leaves the branch where it was."""
    other_branch = "other_branch"
    """Another branch than the one that the application follows."""
    skip_requested = "skip_requested"
    """The commit's message asks for it: `[skip ci]`, `[skip deploy]`."""
    paths_unchanged = "paths_unchanged"
    """No file changed that the application watches."""
    no_application = "no_application"
    """No application has this source."""


@unique
class DatabaseType(StrEnum):
    """What kind of server a database is."""

    postgresql = "postgresql"
    mysql = "mysql"
    mongodb = "mongodb"
    redis = "redis"


@unique
class DatabaseStatus(StrEnum):
    """Where a database stands."""

    pending = "pending"
    """It has not run yet."""
    starting = "starting"
    running = "running"
    restoring = "restoring"
    """Its data are being replaced by those of a backup."""
    stopped = "stopped"
    error = "error"


@unique
class TaskStatus(StrEnum):
    """The state of a backup or a restore; the last three are final."""

    pending = "pending"
    running = "running"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


@unique
class BackupTrigger(StrEnum):
    """Why there is a backup."""

    manual = "manual"
    schedule = "schedule"
    safety = "safety"
    """Taken before a restore replaced what was there."""
    upload = "upload"


@unique
class StorageKind(StrEnum):
    """Where backups lie."""

    local = "local"
    """A folder of the machine."""
    s3 = "s3"


@unique
class AlertMetric(StrEnum):
    """What an application is watched for."""

    memory = "memory"
    """Percent of the limit of all its containers together."""
    cpu = "cpu"
    """The same."""
    restarts = "restarts"
    """How many containers ended by themselves and were replaced."""
    errors = "errors"
    """Percent of its requests that were answered with 5xx."""


@unique
class AlertSeverity(StrEnum):
    """How serious an alert is."""

    warning = "warning"
    critical = "critical"


@unique
class AlertStatus(StrEnum):
    """Whether an alert is still so."""

    raised = "raised"
    resolved = "resolved"


@unique
class ChannelType(StrEnum):
    """By what somebody is told."""

    webhook = "webhook"
    slack = "slack"
    """A webhook that takes Slack's messages; Mattermost and Discord have such, too."""
    email = "email"


@unique
class NotificationEvent(StrEnum):
    """What somebody can be told of."""

    alert_raised = "alert_raised"
    alert_resolved = "alert_resolved"
    deployment_succeeded = "deployment_succeeded"
    deployment_failed = "deployment_failed"
    deployment_cancelled = "deployment_cancelled"
    test = "test"
    """Somebody wants to see whether it arrives."""


@unique
class NotificationStatus(StrEnum):
    """What became of a notification."""

    pending = "pending"
    sent = "sent"
    failed = "failed"
    """It was given up."""
