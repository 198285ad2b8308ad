"""Deployments: the chapter "Deployments" of the specification."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import strawberry

import models
import workers
from models import events as journal
from models.feed import Feeds, Part
from schema.access import Role
from schema.context import Context
from schema.fields import Node, computed, entity, one
from schema.filters import Compare
from schema.following import followed
from schema.page import sorting
from schema.resource import Resource
from schema.rules import Between

if TYPE_CHECKING:
    from schema.applications import Application


LONGEST_OUTPUT = 1000
"""Lines of `buildOutput`."""


@strawberry.type
class Stage:
    """One stage of a deployment; `duration` in whole seconds."""

    name: models.StageName
    status: models.StageStatus
    started_at: datetime | None
    finished_at: datetime | None
    duration: int | None


@strawberry.type
class DeploymentError:
    """Why a deployment failed: a code, a sentence to act on, and the last lines of what failed."""

    code: str
    message: str
    output: str


@strawberry.type
class DeploymentEvent:
    """What happened to a deployment; `seq` counts from 1 without a gap."""

    seq: int
    timestamp: datetime
    kind: models.EventKind
    status: models.DeploymentStatus
    stage: models.StageName | None
    progress: int
    level: models.LogLevel
    message: str
    queue_position: int | None
    estimated_time: int | None


def _seconds(start: datetime | None, end: datetime | None) -> int | None:
    return round((end - start).total_seconds()) if start and end else None


async def _stages(context: Context, keys: list[tuple[UUID]]) -> list[list[Stage]]:
    found: dict[UUID, list[Stage]] = defaultdict(list)
    for row in await models.Stage.filter(deployment_id__in=[key for (key,) in keys]).order_by("position"):
        duration = _seconds(row.started_at, row.finished_at)
        found[row.deployment_id].append(
            Stage(name=row.name, status=row.status, started_at=row.started_at, finished_at=row.finished_at, duration=duration)
        )
    return [found[key] for (key,) in keys]


async def _build_output(context: Context, keys: list[tuple[UUID]]) -> list[str]:
    outputs = []
    for (key,) in keys:
        lines = models.Event.filter(deployment_id=key, kind=models.EventKind.log, stage=models.StageName.building)
        last = await lines.order_by("-seq").limit(LONGEST_OUTPUT).values_list("message", flat=True)
        outputs.append("\n".join(str(line) for line in reversed(last)))
    return outputs


async def _queue_position(context: Context, keys: list[tuple[UUID]]) -> list[int | None]:
    return [place.position for place in await workers.places([key for (key,) in keys])]


async def _estimated_time(context: Context, keys: list[tuple[UUID]]) -> list[int | None]:
    return [place.seconds for place in await workers.places([key for (key,) in keys])]


def _error(code: str | None, message: str | None, output: str | None) -> DeploymentError | None:
    return DeploymentError(code=code, message=message or "", output=output or "") if code else None


DeploymentSort = sorting("deployment", "created_at", "finished_at", "duration")


class DeploymentFilters:
    """What deployments can be filtered by."""

    application_id: UUID
    status: models.DeploymentStatus
    status_in: Annotated[list[models.DeploymentStatus], Compare("status", "in")]
    created_from: Annotated[datetime, Compare("created_at", ">=")]
    created_to: Annotated[datetime, Compare("created_at", "<=")]


@entity(models.Deployment, scope="project_id")
class Deployment(Node):
    """One way from a source to running containers."""

    application_id: strawberry.ID
    application: Annotated["Application", strawberry.lazy("schema.applications")] = one("application_id")
    kind: models.DeploymentKind
    status: models.DeploymentStatus
    progress: int
    branch: str | None
    commit_sha: str | None
    commit_message: str | None
    author: str | None
    image: str | None
    force: bool
    error: DeploymentError | None = computed(_error, "error_code", "error_message", "error_output")
    queue_position: int | None = computed(_queue_position, "id", batch=True)
    estimated_time: int | None = computed(_estimated_time, "id", batch=True)
    build_output: str = computed(_build_output, "id", batch=True)
    stages: list[Stage] = computed(_stages, "id", batch=True)
    previous_deployment_id: strawberry.ID | None
    trigger: models.DeploymentTrigger
    superseded_by: strawberry.ID | None
    cancel_requested_at: datetime | None
    duration: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


deployments = Resource("deployment", Deployment)

SUMMARY = "id applicationId kind status progress branch commitSha commitMessage author duration createdAt finishedAt"
SUMMARY_LINKS = {"self": "deployments.get", "application": "applications.get", "logs": "deployments.logs"}

list_ = deployments.list(needs=Role.viewer, filters=DeploymentFilters, sort=DeploymentSort, view=SUMMARY, links=SUMMARY_LINKS)

get = deployments.get(
    needs=Role.viewer,
    view="""
        id applicationId kind status progress branch commitSha commitMessage author image
        error { code message output } queuePosition estimatedTime buildOutput
        stages { name status startedAt finishedAt duration }
        previousDeploymentId trigger supersededBy cancelRequestedAt duration createdAt startedAt finishedAt
    """,
    links={
        "self": "deployments.get",
        "application": "applications.get",
        "cancel": "deployments.cancel",
        "rollback": "deployments.rollback",
        "logs": "deployments.logs",
    },
)


@deployments.post(
    "/{id}/rollback",
    status=202,
    needs=Role.developer,
    view="deploymentId: id status previousDeploymentId",
    links={"deployment": "deployments.get", "logs": "deployments.logs"},
)
async def rollback(ctx: Context, deployment: models.Deployment) -> models.Deployment:
    """Go back: from the live deployment to the success before it, or to an earlier success itself (DECISIONS 20)."""
    return await workers.roll_back(deployment)


@deployments.post(
    "/{id}/cancel",
    status=202,
    needs=Role.developer,
    view="deploymentId: id status cancelRequestedAt",
    links={"deployment": "deployments.get", "logs": "deployments.logs"},
)
async def cancel(ctx: Context, deployment: models.Deployment) -> models.Deployment:
    """Cancel a deployment: one that waits ends at once, one that runs once its worker has taken back what it did."""
    return await workers.cancel(deployment)


@strawberry.type
class LogLine:
    """A line of a deployment's log."""

    seq: int
    timestamp: datetime
    stage: models.StageName | None
    message: str
    level: models.LogLevel


@strawberry.type
class DeploymentLogs:
    """A part of a deployment's log; `lastSeq` is where the next poll goes on with `afterSeq`."""

    logs: list[LogLine]
    last_seq: int


@deployments.query("/{id}/logs", needs=Role.viewer, view="logs { seq timestamp stage message level } lastSeq")
async def logs(
    ctx: Context,
    deployment: models.Deployment,
    after_seq: Annotated[int, Between(0, 2**31 - 1)] = 0,
    limit: Annotated[int, Between(1, 10_000)] = 1000,
) -> DeploymentLogs:
    """Get the lines of a deployment's log that follow `afterSeq`."""
    rows = models.Event.filter(deployment_id=deployment.id, seq__gt=after_seq, kind=models.EventKind.log)
    lines = [
        LogLine(seq=row.seq, timestamp=row.at, stage=row.stage, message=row.message, level=row.level)
        for row in await rows.order_by("seq").limit(limit)
    ]
    return DeploymentLogs(logs=lines, last_seq=lines[-1].seq if lines else after_seq)


@deployments.stream(
    "/{id}/events", needs=Role.viewer, view="seq timestamp kind status stage progress level message queuePosition estimatedTime"
)
def events(
    ctx: Context, deployment: models.Deployment, after_seq: Annotated[int, Between(0, 2**31 - 1)] = 0
) -> AsyncIterator[DeploymentEvent]:
    """Follow a deployment: every event after `afterSeq`, up to its last.

    It ends when whoever follows may no longer see the deployment, or their session has ended.
    """
    return followed(ctx, Deployment, deployment, FEEDS, after_seq)


async def _part(deployment: UUID, after: int) -> Part[DeploymentEvent]:
    found = await journal.part(deployment, after)
    return Part([_shown(event) for event in found.items], found.last)


def _shown(event: models.Event) -> DeploymentEvent:
    return DeploymentEvent(
        seq=event.seq,
        timestamp=event.at,
        kind=event.kind,
        status=event.status,
        stage=event.stage,
        progress=event.progress,
        level=event.level,
        message=event.message,
        queue_position=event.queue_position,
        estimated_time=event.estimated_time,
    )


FEEDS: Final = Feeds(_part)
"""Whoever follows deployments in this process."""
