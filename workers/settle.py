"""Settling wishes: an application's service is scaled, restarted or removed as the API stored it."""

from collections.abc import Awaitable
from uuid import UUID

import structlog
from tortoise.transactions import in_transaction

from models import Application, ApplicationStatus, Deployment, DeploymentStatus
from models.database import database
from workers import docker
from workers.deploy import network_of, volume_of
from workers.runtime import Runtime

log = structlog.get_logger()


async def settle(runtime: Runtime, id: UUID) -> None:
    """Grant an application's wishes, unless somebody else is at it or a deployment is just changing its service."""
    async with in_transaction() as connection:
        key = id.int & (2**63 - 1)
        locked = await connection.execute_query_dict("select pg_try_advisory_xact_lock($1) as mine", [key])
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
        except docker.DockerError as error:
            log.warning("settle.refused", application=str(id), error=str(error))


async def _adjust(runtime: Runtime, application: Application) -> None:
    name = application.service_name
    if await runtime.engine.service(name) is not None:
        await docker.scale_service(runtime.docker, name, application.replicas)
        if application.restart_wish > application.granted:
            await docker.restart_service(runtime.docker, name)
        application.status = ApplicationStatus.running if application.replicas else ApplicationStatus.stopped
    await database().execute_query(
        "update application set granted = greatest(granted, $2), status = $3 where id = $1",
        [application.id, application.wished, application.status.value],
    )


async def _remove(runtime: Runtime, application: Application) -> None:
    """Remove everything that ran of an application, and then its row."""
    await docker.remove_service(runtime.docker, application.service_name)
    for deployment in await Deployment.filter(application_id=application.id).exclude(image=None):
        image = str(deployment.image)
        if image.startswith(f"dokploy/{application.service_name}:"):
            await _tolerated(docker.remove_image(runtime.docker, image, force=True))
    if application.delete_volumes:
        for volume in application.volumes:
            await docker.remove_volume(runtime.docker, volume_of(application.service_name, volume["source"]))
    await Application.filter(id=application.id).delete()
    if not await Application.filter(project_id=application.project_id).exists():
        await _tolerated(docker.remove_network(runtime.docker, network_of(application.project_id)))


async def _tolerated(work: Awaitable[object]) -> None:
    """What is still in use for a moment is no reason to keep the application."""
    try:
        await work
    except docker.DockerError as error:
        log.info("settle.in_use", error=str(error))
