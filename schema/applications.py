"""Applications: the chapter "Applications" of the specification."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import strawberry

import models
import workers
from models import metrics
from schema import alerts, container_logs, deployments, git_sources, series, webhooks
from schema.access import Role
from schema.alerts import Alert, AlertFilters, AlertSort
from schema.application_inputs import (
    ApplicationFilters,
    ApplicationSort,
    CreateApplicationInput,
    DeployInput,
    ScaleInput,
    UpdateApplicationInput,
    changed,
    created,
)
from schema.container_logs import START, AfterLine, ContainerLine, ContainerLogs, LogSearch, Tail, logs_of, wanted
from schema.context import Context
from schema.deployments import Deployment, DeploymentFilters, DeploymentSort
from schema.domains import VIEW as DOMAIN
from schema.domains import Domain, of_applications
from schema.fields import Node, computed, count, entity, one, page
from schema.following import watched
from schema.git_sources import MASK, GitSource
from schema.page import Page
from schema.projects import Project, projects
from schema.resource import Resource
from schema.webhooks import DeliveryFilters, DeliverySort, WebhookDelivery


@strawberry.type
class EnvVar:
    """An environment variable; the value of a secret is never shown."""

    key: str
    value: str
    is_secret: bool


@strawberry.type
class Port:
    """A port of the containers, and the one of the host that leads to it."""

    container_port: int
    protocol: str
    published_port: int | None
    keep_alive: bool = True


@strawberry.type
class Volume:
    """A named volume of the application, mounted into its containers."""

    source: str
    target: str
    read_only: bool


@strawberry.type
class HealthCheck:
    """The command that says whether a container is well; times in seconds."""

    command: str
    interval: int
    timeout: int
    retries: int
    start_period: int


@strawberry.type
class Resources:
    """What one container may use, and what all of them used at `sampledAt` (null while none runs): memory in MiB, CPU in cores."""

    memory_limit: int | None
    cpu_limit: float | None
    current_memory: int | None = None
    current_cpu: float | None = None
    sampled_at: datetime | None = None


def _masked(env_vars: list[dict[str, Any]]) -> list[EnvVar]:
    return [EnvVar(key=each["key"], value=MASK if each["is_secret"] else each["value"], is_secret=each["is_secret"]) for each in env_vars]


def _ports(ports: list[dict[str, Any]]) -> list[Port]:
    return [Port(**each) for each in ports]


def _volumes(volumes: list[dict[str, Any]]) -> list[Volume]:
    return [Volume(**each) for each in volumes]


def _health_check(value: dict[str, Any] | None) -> HealthCheck | None:
    return HealthCheck(**value) if value else None


async def _resources(context: Context, rows: list[tuple[UUID, dict[str, Any] | None]]) -> list[Resources]:
    now = await metrics.current([id for id, _ in rows], datetime.now(UTC))
    return [_used(value or {"memory_limit": None, "cpu_limit": None}, now.get(id)) for id, value in rows]


def _used(limits: dict[str, Any], now: metrics.Now | None) -> Resources:
    if now is None:
        return Resources(**limits)
    return Resources(
        **limits,
        current_memory=None if now.memory is None else round(now.memory / series.MIB),
        current_cpu=None if now.cpu is None else round(now.cpu, 4),
        sampled_at=now.at,
    )


@entity(models.Application, scope="project_id")
class Application(Node):
    """Something that runs, or will."""

    name: str
    project_id: strawberry.ID
    project: Project = one("project_id")
    service_name: str
    image: str | None
    status: models.ApplicationStatus
    health_status: models.HealthStatus
    replicas: int
    stop_grace_period: int
    env_vars: list[EnvVar] = computed(_masked, "env_vars")
    ports: list[Port] = computed(_ports, "ports")
    volumes: list[Volume] = computed(_volumes, "volumes")
    health_check: HealthCheck | None = computed(_health_check, "health_check")
    domains: list[Domain] = computed(of_applications, "id", batch=True)
    resources: Resources = computed(_resources, "id", "resources", batch=True)
    git_source: GitSource | None = computed(git_sources.shown, "git_source", "git_token", "last_commit_sha", "last_sync")
    watch_paths: list[str]
    deploy_key: str | None
    webhook_deliveries: Page[WebhookDelivery] = page("-created_at", fk="application_id", sort=DeliverySort, filters=DeliveryFilters)
    alerts: Page[Alert] = page("-created_at", fk="application_id", sort=AlertSort, filters=AlertFilters)
    last_deployment: Deployment | None = one("application_id", "-id")
    deployments: Page[Deployment] = page("-created_at", fk="application_id", sort=DeploymentSort, filters=DeploymentFilters)
    deployment_count: int = count(lambda: Deployment, "application_id")
    created_at: datetime
    updated_at: datetime


applications = Resource("application", Application)

SUMMARY = "id name projectId image status replicas healthStatus lastDeployment { id status createdAt } createdAt"
SUMMARY_LINKS = {
    "self": "applications.get",
    "deploy": "applications.deploy",
    "logs": "applications.logs",
    "metrics": "applications.metrics",
}
LINKS = ("self", "deploy", "logs", "metrics", "deployments")
DETAIL = """
    id name projectId serviceName image status replicas stopGracePeriod healthStatus
    envVars { key value isSecret }
    ports { containerPort protocol publishedPort keepAlive }
    volumes { source target readOnly }
    healthCheck { command interval timeout retries startPeriod }
    domains { domain certificateStatus expiresAt }
    resources { memoryLimit cpuLimit currentMemory currentCpu sampledAt }
    gitSource { repoUrl branch buildPath dockerfile provider username token lastCommitSha lastSync }
    watchPaths deployKey
    createdAt updatedAt
"""


list_ = applications.list(
    needs=Role.viewer, filters=ApplicationFilters, search=True, sort=ApplicationSort, view=SUMMARY, links=SUMMARY_LINKS
)

of_project = projects.related("applications", needs=Role.viewer, view=SUMMARY, links=SUMMARY_LINKS)

get = applications.get(needs=Role.viewer, view=DETAIL, links=LINKS)

deployments_ = applications.related("deployments", needs=Role.viewer, view=deployments.SUMMARY, links=deployments.SUMMARY_LINKS)

webhook_deliveries = applications.related("webhook_deliveries", needs=Role.viewer, view=webhooks.VIEW)

alerts_ = applications.related("alerts", needs=Role.viewer, view=alerts.VIEW, links=alerts.LINKS)

domains_ = applications.part("domains", needs=Role.viewer, view=f"data: domains {{ {DOMAIN} }}")


@applications.post(needs=Role.member, view="id name projectId serviceName status createdAt", links=("self", "deploy"))
async def create(ctx: Context, input: CreateApplicationInput) -> models.Application:
    """Create an application; it takes a developer of its project."""
    project = await ctx.reference(Project, input.project_id, Role.developer, field="projectId")
    return await created(project, input)


@applications.patch("/{id}", needs=Role.developer, view=DETAIL, links=LINKS)
async def update(ctx: Context, application: models.Application, input: UpdateApplicationInput) -> models.Application:
    """Update the configuration; a running application is brought to it by a deployment of kind `config` (DECISIONS 18)."""
    return await changed(application, input)


@applications.delete("/{id}", needs=Role.admin)
async def delete(ctx: Context, application: models.Application, delete_volumes: bool = False) -> None:
    """Delete an application; what runs of it goes in the background, its volumes only when asked for."""
    await workers.remove(application, delete_volumes=delete_volumes)


@applications.post(
    "/{id}/deploy",
    status=202,
    needs=Role.developer,
    view="deploymentId: id status queuePosition estimatedTime",
    links={"deployment": "deployments.get", "logs": "deployments.logs"},
)
async def deploy(ctx: Context, application: models.Application, input: DeployInput) -> models.Deployment:
    """Trigger a deployment."""
    return await workers.start_deployment(application, branch=input.branch, commit_sha=input.commit_sha, force=input.force)


@strawberry.type
class Scaling:
    """A change of the number of replicas that is under way."""

    previous_replicas: int
    current_replicas: int
    status: str


@applications.post("/{id}/scale", status=200, needs=Role.developer, view="previousReplicas currentReplicas status")
async def scale(ctx: Context, application: models.Application, input: ScaleInput) -> Scaling:
    """Scale the application's replicas; 0 stops it."""
    previous = await workers.scale(application, input.replicas)
    return Scaling(previous_replicas=previous, current_replicas=input.replicas, status="scaling")


@applications.query(
    "/{id}/logs",
    needs=Role.viewer,
    view=container_logs.VIEW,
    links={"self": "applications.logs", "stream": "applications.follow_logs"},
    items=container_logs.MOST,
)
async def logs(
    ctx: Context,
    application: models.Application,
    tail: Tail = 100,
    since: datetime | None = None,
    level: models.LogLevel | None = None,
    search: LogSearch = "",
    after_seq: AfterLine = START,
) -> ContainerLogs:
    """Get what the application's containers have printed, from `level` on: the last lines, or the next after `afterSeq`."""
    return await logs_of(application, tail, wanted(since, level, search), after_seq)


@applications.stream("/{id}/logs", needs=Role.viewer, view=container_logs.LINE, follows=logs)
async def follow_logs(
    ctx: Context,
    application: models.Application,
    tail: Tail = 100,
    since: datetime | None = None,
    level: models.LogLevel | None = None,
    search: LogSearch = "",
    after_seq: AfterLine = START,
) -> AsyncIterator[ContainerLine]:
    """Follow what the application's containers print: the lines after `afterSeq`, or else the last ones, and those that come."""
    which = wanted(since, level, search)
    async with aclosing(container_logs.follow_logs(ctx, Application, application, tail, which, after_seq)) as found:
        async for line in found:
            yield line


@strawberry.type
class ApplicationEvent:
    """How a deployment of an application stands; `seq` is the number of its last event."""

    deployment_id: strawberry.ID
    status: models.DeploymentStatus
    progress: int
    stage: models.StageName | None
    message: str
    seq: int


@applications.stream("/{id}/events", needs=Role.viewer, view="deploymentId status progress stage message seq")
async def events(ctx: Context, application: models.Application) -> AsyncIterator[ApplicationEvent]:
    """Follow an application: how its newest deployment stands, and then what becomes of each; what follows fast is told as one.

    It ends when whoever follows may no longer see the application, or their session has ended.
    """
    async with aclosing(watched(ctx, Application, application)) as found:
        async for each in found:
            id = strawberry.ID(str(each.deployment_id))
            yield ApplicationEvent(
                deployment_id=id, status=each.status, progress=each.progress, stage=each.stage, message=each.message, seq=each.seq
            )


@applications.post("/{id}/restart", status=202, needs=Role.developer, view="id status", links=("self",))
async def restart(ctx: Context, application: models.Application) -> models.Application:
    """Restart the application's containers one after the other."""
    return await workers.restart(application)


@applications.query("/{id}/metrics", needs=Role.viewer, view=series.OF_APPLICATION, items=series.MOST)
async def metrics_(
    ctx: Context, application: models.Application, period: series.Period = "1h", step: series.Step | None = None
) -> series.ApplicationMetrics:
    """Get what the application took in a period up to now; a `step` that is finer than what is stored is made longer."""
    return await series.of_application(application, period, step)
