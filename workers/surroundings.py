"""What a service stands on: its project's network and its application's volumes."""

from models import Application
from workers import docker
from workers.runtime import Runtime
from workers.service_spec import ServiceSpec


class ForeignVolume(Exception):
    """A volume of this name exists that does not belong to the application."""


async def ensure(runtime: Runtime, application: Application, spec: ServiceSpec) -> None:
    """Make what is missing. Raises `ForeignVolume`, `DockerError` and `EngineUnavailable`."""
    engine, client = runtime.engine, runtime.docker
    if await engine.network(spec.network) is None:
        labels = {"dokploy.project": str(application.project_id), "dokploy.installation": runtime.installation}
        try:
            await docker.create_network(client, spec.network, labels)
        except docker.DockerError:
            if await engine.network(spec.network) is None:
                raise
    for mount in spec.mounts:
        labels = {"dokploy.application": str(application.id)}
        await docker.create_volume(client, mount.volume, labels)
        volume = await engine.volume(mount.volume) or {}
        if volume.get("Labels") != labels or volume.get("Options"):
            raise ForeignVolume(f"A volume {mount.volume} exists that does not belong to this application.")
