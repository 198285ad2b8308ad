"""What a service stands on: its project's network and its application's volumes."""

from models import Application
from workers import docker
from workers.runtime import Runtime
from workers.service_spec import ServiceSpec


class ForeignVolume(Exception):
    """A volume of this name exists that belongs to something else."""


async def ensure(runtime: Runtime, application: Application, spec: ServiceSpec) -> None:
    """Make what is missing. Raises `ForeignVolume`, `DockerError` and `EngineUnavailable`."""
    engine, client = runtime.engine, runtime.docker
    await ensure_network(runtime, str(application.project_id), spec.network)
    for mount in spec.mounts:
        labels = {"dokploy.application": str(application.id)}
        await docker.create_volume(client, mount.volume, labels)
        volume = await engine.volume(mount.volume) or {}
        if volume.get("Labels") != labels or volume.get("Options"):
            raise ForeignVolume(f"A volume {mount.volume} exists that does not belong to this application.")


async def ensure_network(runtime: Runtime, project: str, name: str) -> None:
    """Make the network of a project. Raises `DockerError` and `EngineUnavailable`."""
    if await runtime.engine.network(name) is not None:
        return
    labels = {"dokploy.project": project, "dokploy.installation": runtime.installation}
    try:
        await docker.create_network(runtime.docker, name, labels)
    except docker.DockerError:
        if await runtime.engine.network(name) is None:
            raise
