"""The stage `deploying`: the image as a Swarm service that is running and well, or the version before as it was."""

from typing import Any, Literal
from uuid import UUID

import models
from models import DeploymentKind, LogLevel, StageName
from workers import docker, rollout
from workers.engine import EngineUnavailable
from workers.pipeline import Run, StageFailed, Stored, stage
from workers.service_spec import EnvVar, HealthCheck, Mount, Port, ServiceSpec, UnsafeValue

DEADLINE = 7200.0
"""Seconds; the rollout has a deadline of its own."""
PULL_DEADLINE = 900.0


def network_of(project_id: UUID | str) -> str:
    """The name of a project's overlay network."""
    return f"dokploy-{UUID(str(project_id)).hex[-20:]}"


def volume_of(service_name: str, source: str) -> str:
    """The name of an application's volume."""
    return f"{service_name}-{source}"


def spec_of(run: Run, image: str, replicas: int) -> ServiceSpec:
    """The service that a deployment's frozen configuration describes."""
    config = run.config
    mesh = run.runtime.routing_mesh
    mode: Literal["ingress", "host"] = "ingress" if mesh else "host"
    ports = tuple(
        Port(each["container_port"], each["published_port"], "udp" if each["protocol"] == "udp" else "tcp", mode)
        for each in config["ports"]
    )
    mounts = tuple(
        Mount(volume_of(config["service_name"], each["source"]), each["target"], each["read_only"]) for each in config["volumes"]
    )
    single = (ports and not mesh) or any(not mount.read_only for mount in mounts)
    limits = config["resources"] or {}
    return ServiceSpec(
        name=config["service_name"],
        image=image,
        network=network_of(config["project_id"]),
        labels=run.labels,
        env=tuple(EnvVar(each["key"], each["value"], each["is_secret"]) for each in config["env_vars"]),
        ports=ports,
        mounts=mounts,
        health=HealthCheck(**config["health_check"]) if config["health_check"] else None,
        memory_mib=limits.get("memory_limit"),
        cpus=limits.get("cpu_limit"),
        replicas=replicas,
        order="stop-first" if single else "start-first",
        endpoint_mode="vip" if mesh else "dnsrr",
    )


async def _image(run: Run) -> tuple[str, str]:
    """The image to run and its id: what was built, or recorded, or pulled now and given a name that nobody moves."""
    engine, deployment = run.runtime.engine, run.deployment
    if deployment.kind is not DeploymentKind.image:
        found = await engine.image(str(deployment.image))
        if found is None:
            raise StageFailed("IMAGE_NOT_FOUND", f"The recorded image {deployment.image} is gone from this host.")
        return str(deployment.image), found["Id"]
    wanted, name = str(run.config["image"]), f"dokploy/{run.config['service_name']}:{run.tag}"
    run.journal.say(f"Pulling {wanted}")
    try:
        await docker.pull(run.runtime.docker, wanted, deadline=PULL_DEADLINE, on_line=lambda stream, line: run.journal.say(line))
    except docker.DockerError as error:
        if await engine.image(wanted) is None:
            raise StageFailed("IMAGE_NOT_FOUND", f"The image {wanted} cannot be pulled: {error}", error.tail) from error
        run.journal.say(f"{wanted} cannot be pulled; the copy on this host is used", LogLevel.warning)
    await docker.tag_image(run.runtime.docker, wanted, name)
    found = await engine.image(name)
    if found is None:
        raise StageFailed("IMAGE_NOT_FOUND", f"The image {wanted} is gone from this host.")
    return name, found["Id"]


async def _surroundings(run: Run, spec: ServiceSpec) -> None:
    """The project's network and the application's volumes; a volume that somebody else made is refused."""
    engine, client = run.runtime.engine, run.runtime.docker
    if await engine.network(spec.network) is None:
        labels = {"dokploy.project": str(run.config["project_id"])}
        try:
            await docker.create_network(client, spec.network, labels)
        except docker.DockerError:
            if await engine.network(spec.network) is None:
                raise
    for mount in spec.mounts:
        labels = {"dokploy.application": str(run.deployment.application_id)}
        await docker.create_volume(client, mount.volume, labels)
        volume = await engine.volume(mount.volume) or {}
        if volume.get("Labels") != labels or volume.get("Options"):
            raise StageFailed("VOLUME_NOT_OURS", f"A volume {mount.volume} exists that does not belong to this application.")


async def _told(run: Run, spec: ServiceSpec) -> dict[str, Any] | None:
    """Create or update the service, or adopt one that an earlier attempt of this deployment made. Returns the service before."""
    engine, client = run.runtime.engine, run.runtime.docker
    current = await engine.service(spec.name)
    if current is None:
        run.journal.say(f"Creating the service {spec.name} with {spec.replicas} replicas")
        await docker.create_service(client, spec)
        return None
    if current["Spec"].get("Labels", {}).get("dokploy.deployment") == str(run.deployment.id):
        run.journal.say(f"The service {spec.name} carries this deployment already: watching it")
        return current
    run.journal.say(f"Updating the service {spec.name}, {spec.order}")
    await docker.update_service(client, spec, current)
    return current


def _explain_order(run: Run, spec: ServiceSpec) -> None:
    if spec.order == "start-first":
        return
    if spec.ports and not run.runtime.routing_mesh:
        run.journal.say(
            "The kernel has no IPVS, so Swarm's routing mesh is not available: ports are published on the host, "
            "and the old container stops before the new one starts"
        )
    else:
        run.journal.say("A volume is written by one container at a time: the old one stops before the new one starts")


@stage(StageName.deploying, deadline=DEADLINE)
async def deploy(run: Run) -> Stored:
    """Bring the service to the image and configuration of this deployment."""
    try:
        image, image_id = await _image(run)
        run.journal.advance(82)
        application = await models.Application.get(id=run.deployment.application_id)
        spec = spec_of(run, image, application.replicas)
        await _surroundings(run, spec)
        _explain_order(run, spec)
        await run.still_held()
        before = await _told(run, spec)
        run.journal.advance(85)
        await rollout.watch(run, spec, first=before is None)
    except docker.DockerError as error:
        raise StageFailed(error.code, f"Docker refused the deployment: {error}", error.tail) from error
    except EngineUnavailable as error:
        raise StageFailed(error.code, str(error)) from error
    except UnsafeValue as error:
        raise StageFailed("INVALID_CONFIGURATION", str(error)) from error
    run.journal.say(f"{spec.replicas} of {spec.replicas} replicas run {image}")
    await _remember(application.id, run, image)
    return {"image": image, "image_id": image_id}


async def _remember(application_id: UUID, run: Run, image: str) -> None:
    """Show on the application what it runs now."""
    values: dict[str, Any] = {"health_status": models.HealthStatus.healthy if run.config["replicas"] else models.HealthStatus.unknown}
    if run.config["git_source"] is not None:
        values |= {"image": image, "last_commit_sha": run.deployment.commit_sha, "last_sync": run.deployment.started_at}
    await models.Application.filter(id=application_id).update(**values)
