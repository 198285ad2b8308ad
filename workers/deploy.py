"""The stage `deploying`: the image as a Swarm service that is running and well, or the version before as it was."""

import asyncio
from typing import Any, Literal
from uuid import UUID

import models
from models import DeploymentKind, LogLevel, StageName
from workers import docker, rollout
from workers.clone import clear
from workers.engine import EngineUnavailable
from workers.journal import LeaseLost
from workers.pipeline import Run, StageFailed, Stored, stage
from workers.service_spec import EnvVar, HealthCheck, Mount, Port, ServiceSpec, UnsafeValue
from workers.wishes import last_success, recorded_of

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


async def _recorded(run: Run) -> dict[str, Any]:
    """What is known of the image: of a change of the configuration, that of the version that is live now."""
    if run.deployment.kind is not DeploymentKind.config:
        return {"image": run.deployment.image}
    live = await last_success(run.deployment.application_id)
    if live is None:
        raise StageFailed("NOTHING_TO_CONFIGURE", "No version of the application has run yet: deploy it first.")
    return {name: value for name, value in recorded_of(live).items() if name != "snapshot"}


async def _image(run: Run, recorded: dict[str, Any]) -> tuple[str, str]:
    """The image to run and its id: what was built, or recorded, or pulled now and given a name that nobody moves."""
    if run.deployment.kind is DeploymentKind.image:
        name = await _adopted(run) or await _pulled(run, str(run.config["image"]))
    else:
        name = str(recorded["image"])
    found = await run.runtime.engine.image(name)
    if found is None:
        raise StageFailed("IMAGE_NOT_FOUND", f"The recorded image {name} is gone from this host.")
    return name, found["Id"]


async def _adopted(run: Run) -> str | None:
    """The image that an earlier attempt at this deployment has given to the service already."""
    current = await run.runtime.engine.service(run.config["service_name"])
    return str(current["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]) if current and _carries(current, run) else None


async def _pulled(run: Run, wanted: str) -> str:
    """The image pulled, or as it is on this host, under a name of ours."""
    client, name = run.runtime.docker, f"dokploy/{run.config['service_name']}:{run.tag}"
    run.journal.say(f"Pulling {wanted}")
    try:
        await docker.pull(client, wanted, deadline=PULL_DEADLINE, on_line=lambda stream, line: run.journal.say(line))
    except docker.DockerError as error:
        if await run.runtime.engine.image(wanted) is None:
            code = error.code if isinstance(error, docker.DiskFull | docker.DockerTimedOut) else "IMAGE_NOT_FOUND"
            raise StageFailed(code, f"The image {wanted} cannot be pulled: {_said(error)}", error.tail) from error
        run.journal.say(f"{wanted} cannot be pulled; the copy on this host is used", LogLevel.warning)
    await docker.tag_image(client, wanted, name)
    return name


def _said(error: docker.DockerError) -> str:
    """The client's own last words: a registry that refuses the connection is not the engine being away."""
    return next((line.strip()[:500] for line in reversed(error.tail) if line.strip()), str(error))


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


async def _told(run: Run, spec: ServiceSpec) -> bool:
    """Create or update the service, or adopt it as an earlier attempt of this deployment left it. Whether a version was there before."""
    engine, client = run.runtime.engine, run.runtime.docker
    current = await engine.service(spec.name)
    if current is None:
        run.journal.say(f"Creating the service {spec.name} with {spec.replicas} replicas")
        await docker.create_service(client, spec)
        return False
    if not _carries(current, run):
        run.journal.say(f"Updating the service {spec.name}, {spec.order}")
        await docker.update_service(client, spec, current)
        return True
    run.journal.say(f"The service {spec.name} carries this deployment already: watching it")
    return bool(current.get("PreviousSpec"))


async def _application(run: Run) -> models.Application:
    """The application as it is now. Raises `LeaseLost` when it was deleted."""
    application = await models.Application.get_or_none(id=run.deployment.application_id, deleted_at__isnull=True)
    if application is None:
        raise LeaseLost
    return application


async def _still_wanted(run: Run, spec: ServiceSpec) -> None:
    """Take the service back when the application was deleted in this very moment: whoever removed the rest of it has not seen it."""
    try:
        await _application(run)
    except LeaseLost:
        await docker.remove_service(run.runtime.docker, spec.name)
        raise


def _carries(current: dict[str, Any], run: Run) -> bool:
    """Whether the service is this deployment's already."""
    return (current["Spec"].get("Labels") or {}).get("dokploy.deployment") == str(run.deployment.id)


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
    await asyncio.to_thread(clear, run)
    recorded = await _recorded(run)
    try:
        image, image_id = await _image(run, recorded)
        run.journal.advance(82)
        spec = spec_of(run, image, (await _application(run)).replicas)
        await _surroundings(run, spec)
        _explain_order(run, spec)
        await run.still_held()
        before = await _told(run, spec)
        await _still_wanted(run, spec)
        run.journal.advance(85)
        await rollout.watch(run, spec, first=not before)
    except docker.DockerError as error:
        raise StageFailed(error.code, f"Docker refused the deployment: {error}", error.tail) from error
    except EngineUnavailable as error:
        raise StageFailed(error.code, str(error)) from error
    except UnsafeValue as error:
        raise StageFailed("INVALID_CONFIGURATION", str(error)) from error
    run.journal.say(f"{spec.replicas} of {spec.replicas} replicas run {image}")
    await _remember(run, spec, recorded.get("commit_sha") or run.deployment.commit_sha)
    return {**recorded, "image": image, "image_id": image_id}


async def _remember(run: Run, spec: ServiceSpec, commit_sha: str | None) -> None:
    """Show on the application what it runs now."""
    values: dict[str, Any] = {"health_status": models.HealthStatus.healthy if spec.replicas else models.HealthStatus.unknown}
    if run.config["git_source"] is not None:
        values |= {"image": spec.image, "last_commit_sha": commit_sha, "last_sync": run.deployment.started_at}
    await models.Application.filter(id=run.deployment.application_id).update(**values)
