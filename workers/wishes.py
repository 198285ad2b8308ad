"""Wishes: what the API stores for the workers. One transaction writes it with all it will need; the ring comes after the commit."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tortoise.transactions import in_transaction

from models import (
    Alert,
    Application,
    ApplicationStatus,
    Deployment,
    DeploymentKind,
    DeploymentStatus,
    DeploymentTrigger,
    Domain,
    EventKind,
    PublishedPort,
    Stage,
    StageName,
)
from models.database import database, joined
from models.events import Entry, append
from models.lifecycle import LIVING
from workers import line, rings
from workers.alerts import changes as alerts
from workers.facts import Busy, Contradiction, Impossible
from workers.states import TASK_GRAPHS, Change, Event
from workers.transitions import apply

RUNTIME_FIELDS = frozenset({"image", "env_vars", "ports", "volumes", "health_check", "resources", "stop_grace_period"})
"""What a running application is made of; a change of the source only shows with the next deployment."""


def frozen(application: Application) -> dict[str, Any]:
    """The configuration that a deployment will run, whatever changes meanwhile."""
    names = {"service_name", "replicas", "git_source", *RUNTIME_FIELDS}
    return {"project_id": str(application.project_id)} | {name: getattr(application, name) for name in names}


async def _create(application: Application, kind: DeploymentKind, *, superseding: Sequence[UUID] = (), **columns: Any) -> Deployment:
    """A pending deployment with its stages and first events, instead of others that wait; runs inside the caller's transaction.

    Raises `Busy`, unless it takes the place of another one.
    """
    if not superseding and await line.is_full():
        raise Busy
    columns.setdefault("snapshot", frozen(application))
    deployment = await Deployment.create(application_id=application.id, project_id=application.project_id, kind=kind, **columns)
    await Stage.bulk_create(
        [Stage(deployment_id=deployment.id, position=position, name=name) for position, name in enumerate(TASK_GRAPHS[kind])]
    )
    await append(database(), deployment.id, [Entry(EventKind.status, "Waiting for a worker")])
    for older in superseding:
        message = "A newer push takes its place"
        await apply(Change(Event.cancel, older, message=message, store={"superseded_by": deployment.id}))
    if not superseding:
        await line.told(database(), application.id)
    return deployment


def _ring(deployment: Deployment) -> None:
    rings.ring_soon(rings.chain(deployment.kind, DeploymentStatus.pending), deployment.id)


async def _locked(id: UUID) -> Application:
    row = await Application.filter(id=id, deleted_at__isnull=True).select_for_update().first()
    if row is None:
        raise Contradiction("The application has just been deleted.", "DELETED")
    return row


async def start_deployment(
    application: Application, *, branch: str | None = None, commit_sha: str | None = None, force: bool = False
) -> Deployment:
    """Deploy an application from its git source, or else its image.

    Raises `Impossible` when there is neither source nor image, or a branch or commit is given for an image, and `Busy`.
    """
    async with in_transaction():
        row = await _locked(application.id)
        kind, columns = _wanted(row, branch, commit_sha)
        deployment = await _create(row, kind, force=force, trigger=DeploymentTrigger.manual, **columns)
    _ring(deployment)
    return deployment


async def start_pushed(application_id: UUID, delivery: str, *, branch: str | None = None, commit_sha: str | None = None) -> Deployment:
    """Deploy what was pushed to an application's git source, instead of older pushes that wait, unless they are forced (DECISIONS 21).

    `delivery` is what the sender of the webhook calls it: the same one again is the same deployment. Raises `Contradiction` when the
    application is gone, `Impossible` when it has no source, and `Busy`.
    """
    async with joined():
        row = await _locked(application_id)
        if known := await Deployment.get_or_none(application_id=row.id, delivery=delivery):
            return known
        kind, columns = _wanted(row, branch, commit_sha)
        older = await _waiting_pushes(row)
        deployment = await _create(row, kind, superseding=older, trigger=DeploymentTrigger.webhook, delivery=delivery, **columns)
    _ring(deployment)
    return deployment


def _wanted(row: Application, branch: str | None, commit_sha: str | None) -> tuple[DeploymentKind, dict[str, Any]]:
    """What a deployment of an application is, as it stands. Raises `Impossible`."""
    if row.git_source is not None:
        return DeploymentKind.git, {"branch": branch or row.git_source["branch"], "commit_sha": commit_sha, **_told(row)}
    if row.image is None:
        raise Impossible("The application has neither an image nor a git source.", "NOTHING_TO_DEPLOY")
    if branch or commit_sha:
        raise Impossible("An application that runs an image has no branches and commits.", "NO_GIT_SOURCE")
    return DeploymentKind.image, {"image": row.image}


def _told(application: Application) -> dict[str, Any]:
    """Since when the provider of an application's source is to be told of a deployment."""
    return {"report_due": datetime.now(UTC)} if application.git_token else {}


async def _waiting_pushes(application: Application) -> list[UUID]:
    """What waits of an application's webhooks and gives way to a newer one."""
    waiting = Deployment.filter(application_id=application.id, status=DeploymentStatus.pending)
    found: list[UUID] = await waiting.filter(trigger=DeploymentTrigger.webhook, force=False).order_by("id").values_list("id", flat=True)  # type: ignore[assignment]
    return found


async def cancel(deployment: Deployment) -> Deployment:
    """Cancel a deployment: one that waits has ended at once, one that runs as soon as its worker has taken back what it did.

    Asked again it changes nothing. Raises `Contradiction` when it has ended.
    """
    async with in_transaction():
        await Application.filter(id=deployment.application_id).select_for_update().first()
        row = await Deployment.get(id=deployment.id)
        if row.status not in LIVING:
            raise Contradiction(f"The deployment has ended: {row.status.value}.", "ALREADY_ENDED")
        await _cancel(row, "Cancelled")
    await row.refresh_from_db()
    if row.status in LIVING:
        rings.ring_soon(rings.chain(row.kind, row.status), row.id)
    else:
        rings.next_soon(row.application_id)
    return row


async def _cancel(row: Deployment, message: str) -> None:
    """End a deployment that waits, or ask for the end of one that runs; the caller holds the application's row."""
    if row.status is DeploymentStatus.pending:
        await apply(Change(Event.cancel, row.id, message=message))
    else:
        await apply(Change(Event.ask_cancel, row.id, stage=StageName(row.status.value), message="Cancelling"))


async def last_success(application_id: UUID, before: Deployment | None = None) -> Deployment | None:
    """The live deployment of an application, or the last success before another one."""
    query = Deployment.filter(application_id=application_id, status=DeploymentStatus.success)
    if before is not None:
        query = query.filter(finished_at__lt=before.finished_at).exclude(id=before.id)
    return await query.order_by("-finished_at", "-id").first()


async def roll_back(deployment: Deployment) -> Deployment:
    """Deploy again what ran before: recorded image, recorded configuration, no build (DECISIONS 20).

    Raises `Contradiction` when the deployment failed, has not ended, there is nothing before it, or its image is gone, and `Busy`.
    """
    async with in_transaction():
        row = await _locked(deployment.application_id)
        if deployment.status is not DeploymentStatus.success:
            raise Contradiction("Only a successful deployment can be rolled back, or back to.", "NOT_SUCCESSFUL")
        live = await last_success(row.id)
        target = await last_success(row.id, before=deployment) if live and live.id == deployment.id else deployment
        if target is None:
            raise Contradiction("There is no earlier success to go back to.", "NOTHING_BEFORE")
        if target.image_gone:
            raise Contradiction("The image of that version is no longer on the host.", "IMAGE_GONE")
        created = await _create(row, DeploymentKind.rollback, previous_deployment_id=target.id, **recorded_of(target))
    _ring(created)
    return created


def recorded_of(target: Deployment) -> dict[str, Any]:
    """What a deployment ran, and where that came from."""
    names = ("snapshot", "branch", "commit_sha", "commit_message", "author", "image", "image_id")
    return {name: getattr(target, name) for name in names}


async def plan_change(application: Application, changed: AbstractSet[str]) -> Deployment | None:
    """What a PATCH means for what runs: replicas are a wish, the rest a deployment of kind `config`.

    It runs the image that is live when its turn comes, so that it never takes back what is just being deployed.
    Runs inside the caller's transaction; ring with `ring_change` after the commit.
    """
    if "replicas" in changed:
        await _wish(application)
    if not changed & RUNTIME_FIELDS:
        return None
    live = await last_success(application.id)
    if live is None and not await Deployment.filter(application_id=application.id, status__in=list(LIVING)).exists():
        return None
    if "image" in changed and application.git_source is None and application.image is not None:
        return await _create(application, DeploymentKind.image, image=application.image)
    if changed & RUNTIME_FIELDS == {"image"}:
        return None
    recorded = recorded_of(live) if live is not None else {}
    return await _create(application, DeploymentKind.config, **(recorded | {"snapshot": frozen(application)}))


async def ring_change(application: Application, deployment: Deployment | None) -> None:
    """Ring for what `plan_change` stored."""
    if deployment is not None:
        _ring(deployment)
    if application.wished > application.granted:
        rings.ring_soon((rings.SETTLE,), application.id)


async def _wish(application: Application, *, restart: bool = False) -> None:
    application.wished += 1
    if restart:
        application.restart_wish = application.wished
    await application.save()


async def scale(application: Application, replicas: int) -> int:
    """Wish for a number of replicas. Returns the number before."""
    async with in_transaction():
        row = await _locked(application.id)
        previous, row.replicas = row.replicas, replicas
        await _wish(row)
    rings.ring_soon((rings.SETTLE,), row.id)
    return previous


async def restart(application: Application) -> Application:
    """Wish for new containers. Raises `Contradiction` when the application does not run."""
    async with in_transaction():
        row = await _locked(application.id)
        if row.replicas == 0 or await last_success(row.id) is None:
            raise Contradiction("The application is not running.", "NOT_RUNNING")
        await _wish(row, restart=True)
    rings.ring_soon((rings.SETTLE,), row.id)
    return row


async def remove(application: Application, *, delete_volumes: bool) -> None:
    """Wish an application away: it is gone from the API at once, what runs of it goes in the background (DECISIONS 22)."""
    async with in_transaction():
        await alerts.lock()
        row = await _locked(application.id)
        for each in await Deployment.filter(application_id=row.id, status__in=list(LIVING)).order_by("id"):
            await _cancel(each, "The application was deleted")
        await row.refresh_from_db()
        row.deleted_at, row.delete_volumes, row.status = datetime.now(UTC), delete_volumes, ApplicationStatus.stopped
        await _wish(row)
        await PublishedPort.filter(application_id=row.id).delete()
        await Domain.filter(application_id=row.id).delete()
        await Deployment.filter(application_id=row.id).update(deleted_at=row.deleted_at)
        await alerts.resolve_all(row.id, "The application was deleted")
        await Alert.filter(application_id=row.id).update(deleted_at=row.deleted_at)
    rings.ring_soon((rings.SETTLE,), row.id)
