"""The stage `deploying`: the image as a Swarm service that is running and well, or the version before as it was."""

import asyncio
import json
from typing import Any

import models
from models import DeploymentKind, LogLevel, StageName
from workers import docker, rollout, surroundings
from workers.clone import clear
from workers.convergence import deployment_of
from workers.desired import image_of, secrets_of, spec_of
from workers.engine import EngineUnavailable
from workers.outage import outlasting
from workers.patience import patiently
from workers.publishing import Publishing
from workers.reached import reached
from workers.references import UnknownReference, resolved
from workers.restore import restore
from workers.run import Run, StageFailed, Stored, stage
from workers.service_spec import ServiceSpec, UnsafeValue
from workers.states import LEASE
from workers.wishes import last_success, recorded_of

DEADLINE = 7200.0
"""Seconds; the rollout has a deadline of its own."""
PULL_DEADLINE = 900.0


async def _recorded(run: Run) -> dict[str, Any]:
    """What is known of the image: of a change of the configuration, that of the version that is live now."""
    if run.deployment.kind is not DeploymentKind.config:
        return {"image": run.deployment.image, "image_id": run.deployment.image_id}
    live = await patiently(lambda: last_success(run.deployment.application_id), LEASE)
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
    if recorded.get("image_id") not in (None, found["Id"]):
        raise StageFailed("IMAGE_MISMATCH", f"{name} is no longer the image that was recorded, {recorded['image_id']}.")
    return name, found["Id"]


async def _adopted(run: Run) -> str | None:
    """The image that an earlier attempt at this deployment has given to the service already."""
    current = await run.runtime.engine.service(run.config["service_name"])
    return str(current["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]) if current and _carries(current, run) else None


async def _pulled(run: Run, wanted: str) -> str:
    """The image pulled, or as it is on this host, under a name of ours."""
    client, name = run.runtime.docker, image_of(run.config["service_name"], run.tag)
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


def _carries(current: dict[str, Any], run: Run) -> bool:
    """Whether the service is this deployment's already."""
    return deployment_of(current) == str(run.deployment.id)


def _explain_order(run: Run, spec: ServiceSpec) -> None:
    if spec.order == "start-first":
        return
    if any(port.mode == "host" for port in spec.ports):
        reason = {
            Publishing.edge: "A port that does not speak HTTP cannot pass the edge: it is published on the host, ",
            Publishing.host: "The kernel has no IPVS, so Swarm's routing mesh is not available: ports are published on the host, ",
        }
        run.journal.say(f"{reason[run.runtime.publishing]}and the old container stops before the new one starts")
    else:
        run.journal.say("A volume is written by one container at a time: the old one stops before the new one starts")


async def _take_back(run: Run) -> None:
    """Bring the service back to the version before, or remove it; the image of this version goes, too."""
    application = await models.Application.get(id=run.deployment.application_id)
    await restore(run.runtime, application, run.hold)
    made = {DeploymentKind.git: run.deployment.image, DeploymentKind.image: image_of(run.config["service_name"], run.tag)}
    if image := made.get(run.deployment.kind):
        await docker.remove_image(run.runtime.docker, image, force=True)


@stage(StageName.deploying, deadline=DEADLINE, undo=_take_back)
async def deploy(run: Run) -> Stored:
    """Bring the service to the image and configuration of this deployment."""
    await asyncio.to_thread(clear, run)
    return await outlasting(run, _deploy)


async def _deploy(run: Run) -> Stored:
    recorded = await _recorded(run)
    application = await patiently(lambda: models.Application.get(id=run.deployment.application_id), LEASE)
    try:
        await reached(run, application)
        image, image_id = await _image(run, recorded)
        run.journal.advance(82)
        runtime = run.runtime
        config = await patiently(lambda: resolved(run.config), LEASE)
        run.journal.conceal(secrets_of(config))
        spec = spec_of(config, image, application.replicas, labels=run.labels, publishing=runtime.publishing)
        await surroundings.ensure(runtime, application, spec)
        _explain_order(run, spec)
        await run.still_held()
        before = await _told(run, spec)
        run.journal.advance(85)
        await rollout.watch(run, spec, image_id, first=not before)
    except docker.DockerError as error:
        raise StageFailed(error.code, f"Docker refused the deployment: {error}", error.tail) from error
    except EngineUnavailable as error:
        raise StageFailed(error.code, str(error)) from error
    except UnsafeValue as error:
        raise StageFailed("INVALID_CONFIGURATION", str(error)) from error
    except UnknownReference as error:
        raise StageFailed("REFERENCE_UNKNOWN", str(error)) from error
    except surroundings.ForeignVolume as error:
        raise StageFailed("VOLUME_NOT_OURS", str(error)) from error
    run.journal.say(f"{spec.replicas} of {spec.replicas} replicas run {image}")
    ports = json.dumps(run.config["ports"]) if runtime.publishing is Publishing.edge else None
    return {**recorded, "image": image, "image_id": image_id, "ports": ports}
