"""What a database's service stands on: its project's network, its volume, and its secrets."""

import contextlib

from models import Database
from workers import docker, docker_argv
from workers.databases.credentials import credentials_of
from workers.databases.desired import DATABASE_LABEL, engine_of, labels_of, secret_of
from workers.docker_errors import DockerFailed
from workers.runtime import Runtime
from workers.service_spec import ServiceSpec
from workers.surroundings import ForeignVolume, ensure_network


async def ensure(runtime: Runtime, database: Database, spec: ServiceSpec) -> None:
    """Make what is missing. Raises `ForeignVolume`, `DockerError` and `EngineUnavailable`."""
    await ensure_network(runtime, str(database.project_id), spec.network)
    for mount in spec.mounts:
        await ensure_volume(runtime, database, mount.volume)
    await _ensure_secrets(runtime, database)


async def ensure_volume(runtime: Runtime, database: Database, name: str) -> None:
    """Make a volume of a database. Raises `ForeignVolume` when there is one of this name that is not."""
    labels = labels_of(database, runtime.installation)
    await docker.create_volume(runtime.docker, name, labels)
    volume = await runtime.engine.volume(name) or {}
    if volume.get("Labels") != labels or volume.get("Options"):
        raise ForeignVolume(f"A volume {name} exists that does not belong to this database.")


async def _ensure_secrets(runtime: Runtime, database: Database) -> None:
    """Make the secrets of the password that holds now."""
    known = set(await runtime.engine.secret_names(f"{DATABASE_LABEL}={database.id}"))
    for file, content in engine_of(database).files(credentials_of(database)).items():
        name = secret_of(database, file)
        if name not in known:
            argv = docker_argv.secret_create(runtime.docker, name, labels_of(database, runtime.installation))
            await docker.run(argv, stdin=content.encode())


async def clear(runtime: Runtime, database: Database) -> None:
    """Remove what a database no longer needs: old volumes, the secrets of passwords that no longer hold, containers that have ended.

    What something still has goes another time.
    """
    label = f"{DATABASE_LABEL}={database.id}"
    if not database.stopped:
        for container in await runtime.engine.containers(label):
            if container["State"] in ("exited", "dead"):
                await docker.remove_container(runtime.docker, container["Id"])
        for name in await runtime.engine.volume_names(label):
            if name != database.volume:
                with contextlib.suppress(DockerFailed):
                    await docker.remove_volume(runtime.docker, name)
    kept = {secret_of(database, file) for file in engine_of(database).files(credentials_of(database))}
    for name in await runtime.engine.secret_names(label):
        if name not in kept:
            with contextlib.suppress(DockerFailed):
                await docker.run(docker_argv.secret_remove(runtime.docker, name))


async def remove_secrets(runtime: Runtime, database: Database) -> None:
    """Remove all secrets of a database. Raises `DockerError`, also while a container has one."""
    for name in await runtime.engine.secret_names(f"{DATABASE_LABEL}={database.id}"):
        await docker.run(docker_argv.secret_remove(runtime.docker, name))


async def remove_volumes(runtime: Runtime, database: Database) -> None:
    """Remove all volumes of a database. Raises `DockerError`, also while one is in use."""
    for name in await runtime.engine.volume_names(f"{DATABASE_LABEL}={database.id}"):
        await docker.remove_volume(runtime.docker, name)
