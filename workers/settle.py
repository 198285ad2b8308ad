"""Settling wishes: an application's service is scaled, restarted or removed as the API stored it."""

import asyncio
from uuid import UUID

import structlog
from tortoise.transactions import in_transaction

from models import Application, ApplicationStatus, Deployment, DeploymentStatus
from models.database import database
from workers import docker, rings
from workers.deploy import network_of, volume_of
from workers.engine import EngineUnavailable
from workers.runtime import Runtime

log = structlog.get_logger()

PAUSE = 1.0
"""Seconds until the next look at what is still ending."""

_coming_back: set[UUID] = set()


class StillInUse(Exception):
    """Containers of the application are still ending."""


async def settle(runtime: Runtime, id: UUID) -> None:
    """Grant an application's wishes, unless somebody else is at it or a deployment is just changing its service."""
    async with in_transaction() as connection:
        locked = await connection.execute_query_dict("select pg_try_advisory_xact_lock($1) as mine", [_key(id)])
        if not locked[0]["mine"]:
            return
        application = await Application.get_or_none(id=id)
        if application is None or application.wished <= application.granted:
            return
        if await Deployment.filter(application_id=id, status=DeploymentStatus.deploying).exists():
            return
        try:
            if application.deleted_at is not None:
                await _remove(runtime, application)
            else:
                await _adjust(runtime, application)
        except StillInUse:
            _come_back(id)
        except (docker.DockerError, EngineUnavailable) as error:
            log.warning("settle.refused", application=str(id), error=str(error))


def _come_back(id: UUID) -> None:
    """Ring again in a moment, instead of holding a thread of the worker until then; should that be lost, the reconciler rings."""

    def ring() -> None:
        _coming_back.discard(id)
        rings.ring_soon((rings.SETTLE,), id)

    if id not in _coming_back:
        _coming_back.add(id)
        asyncio.get_running_loop().call_later(PAUSE, ring)


def _key(id: UUID) -> int:
    """The key of an advisory lock."""
    return id.int & (2**63 - 1)


async def _adjust(runtime: Runtime, application: Application) -> None:
    name, status = application.service_name, application.status
    if await runtime.engine.service(name) is not None:
        await docker.scale_service(runtime.docker, name, application.replicas)
        if application.restart_wish > application.granted:
            await docker.restart_service(runtime.docker, name)
        status = ApplicationStatus.running if application.replicas else ApplicationStatus.stopped
    await database().execute_query(
        "update application set granted = greatest(granted, $2), "
        "status = case status when 'deploying' then status else $3 end, "
        "health_status = case replicas when 0 then 'unknown' else health_status end where id = $1",
        [application.id, application.wished, status.value],
    )


async def _remove(runtime: Runtime, application: Application) -> None:
    """Remove everything that ran of an application, and then its row.

    Raises `StillInUse`: containers end some seconds after their service.
    """
    await docker.remove_service(runtime.docker, application.service_name)
    if await runtime.engine.containers(f"dokploy.application={application.id}"):
        raise StillInUse
    deployments = await Deployment.filter(application_id=application.id)
    for image in await _images(runtime, application, deployments):
        try:
            await docker.remove_image(runtime.docker, image, force=True)
        except docker.DockerFailed as error:  # a container that is not ours uses it
            log.warning("settle.image_in_use", application=str(application.id), image=image, error=str(error))
    if application.delete_volumes:
        await _remove_volumes(runtime, application, deployments)
    await _remove_network(runtime, application)
    await Application.filter(id=application.id).delete()


async def _images(runtime: Runtime, application: Application, deployments: list[Deployment]) -> set[str]:
    """The names of its images, and the ids of those that lost theirs. What somebody else made of them is not among them."""
    engine, prefix = runtime.engine, f"dokploy/{application.service_name}:"
    named = {f"{prefix}{each.id}-{epoch}" for each in deployments for epoch in range(1, each.epoch + 1)}
    found = {image for image in named if await engine.image(image) is not None}
    for entry in await engine.images(f"dokploy.application={application.id}"):
        names = [name for name in entry.get("RepoTags") or [] if name != "<none>:<none>"]
        found |= {name for name in names if name.startswith(prefix)} if names else {entry["Id"]}
    return found


async def _remove_volumes(runtime: Runtime, application: Application, deployments: list[Deployment]) -> None:
    """Remove the volumes that it has or ever had; one of this name that somebody else made stays."""
    configured = [*application.volumes, *(each for deployment in deployments for each in deployment.snapshot["volumes"])]
    for name in {volume_of(application.service_name, each["source"]) for each in configured}:
        volume = await runtime.engine.volume(name) or {}
        if (volume.get("Labels") or {}).get("dokploy.application") == str(application.id):
            await docker.remove_volume(runtime.docker, name)


async def _remove_network(runtime: Runtime, application: Application) -> None:
    """Remove the project's network together with the project's last application."""
    # Whoever removes another application of this project waits here until our row is gone, and so sees that its own is the last.
    await database().execute_query("select pg_advisory_xact_lock($1)", [_key(application.project_id)])
    if await Application.filter(project_id=application.project_id).exclude(id=application.id).exists():
        return
    try:
        await docker.remove_network(runtime.docker, network_of(application.project_id))
    except docker.DockerFailed as error:
        raise StillInUse from error
