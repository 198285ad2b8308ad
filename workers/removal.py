"""Removing what runs of a deleted application: service, containers, images, volumes when asked for, the project's network, the row."""

from collections.abc import Awaitable, Callable

import structlog

from models import Application, Database, Deployment
from workers import docker
from workers.desired import image_of, network_of
from workers.runtime import Runtime

log = structlog.get_logger()


class StillInUse(Exception):
    """Containers of the application are still ending."""


async def remove(runtime: Runtime, application: Application, still_held: Callable[[], Awaitable[None]]) -> None:
    """Remove everything that ran of an application, and then its row; `still_held` is asked before each step.

    Raises `StillInUse`: containers end some seconds after their service. Also `DockerError`, `EngineUnavailable`, and what `still_held`
    raises.
    """
    await still_held()
    await docker.remove_service(runtime.docker, application.service_name)
    if await runtime.engine.containers(f"dokploy.application={application.id}"):
        raise StillInUse
    await still_held()
    deployments = await Deployment.filter(application_id=application.id).only("id", "epoch")
    for image in await _images(runtime, application, deployments):
        try:
            await docker.remove_image(runtime.docker, image, force=True)
        except docker.DockerFailed as error:  # a container that is not ours uses it
            log.warning("removal.image_in_use", application=str(application.id), image=image, error=str(error))
    if application.delete_volumes:
        await still_held()
        for name in await runtime.engine.volume_names(f"dokploy.application={application.id}"):
            await docker.remove_volume(runtime.docker, name)
    await still_held()
    await _remove_network(runtime, application)
    for each in deployments:  # one by one: their events may be many, and no statement may take long
        await still_held()
        await Deployment.filter(id=each.id).delete()
    await Application.filter(id=application.id).delete()


async def _images(runtime: Runtime, application: Application, deployments: list[Deployment]) -> set[str]:
    """The names of its images, and the ids of those that lost theirs. What somebody else made of them is not among them."""
    engine, prefix = runtime.engine, image_of(application.service_name, "")
    named = {f"{prefix}{each.id}-{epoch}" for each in deployments for epoch in range(1, each.epoch + 1)}
    found = {image for image in named if await engine.image(image) is not None}
    for entry in await engine.images(f"dokploy.application={application.id}"):
        names = [name for name in entry.get("RepoTags") or [] if name != "<none>:<none>"]
        found |= {name for name in names if name.startswith(prefix)} if names else {entry["Id"]}
    return found


async def _remove_network(runtime: Runtime, application: Application) -> None:
    """Remove the project's network together with the last application or database of the project."""
    for model in (Application, Database):
        if await model.filter(project_id=application.project_id, deleted_at__isnull=True).exists():
            return
    try:
        await docker.remove_network(runtime.docker, network_of(application.project_id))
    except docker.DockerFailed as error:
        raise StillInUse from error
