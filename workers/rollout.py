"""Watching a rollout: polled until exactly the wanted tasks run the new version, or it has failed and the old one is back."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models import LogLevel
from workers import docker
from workers.convergence import deployment_of
from workers.engine import Converged, Converging, EngineUnavailable, Failed, Task, convergence
from workers.run import Run, StageFailed
from workers.service_spec import HealthCheck, ServiceSpec

POLL = 0.2
"""Seconds."""
MARGIN = 30.0
LONGEST = 3000.0
"""Going back may take as long again, and both fit into the stage's deadline."""
ROLLBACK_PATIENCE = 60.0
LOCK_PATIENCE = timedelta(seconds=2)
LOG_TAIL = 30
_SECOND = 1_000_000_000


def health_of(spec: ServiceSpec, image: Mapping[str, Any] | None) -> HealthCheck | None:
    """The health check that holds: the service's own, else the image's HEALTHCHECK with Docker's defaults for what it leaves open."""
    if spec.health is not None:
        return spec.health
    check = ((image or {}).get("Config") or {}).get("Healthcheck") or {}
    test = check.get("Test") or ["NONE"]
    if test[0] == "NONE":
        return None
    return HealthCheck(
        command=" ".join(test[1:]),
        interval=(check.get("Interval") or 30 * _SECOND) / _SECOND,
        timeout=(check.get("Timeout") or 30 * _SECOND) / _SECOND,
        retries=check.get("Retries") or 3,
        start_period=(check.get("StartPeriod") or 0) / _SECOND,
    )


def deadline_of(spec: ServiceSpec, health: HealthCheck | None) -> float:
    """Seconds a rollout may take: long enough for every replica's health check to fail, twice, and never beyond the stage's own."""
    check = health.start_period + health.retries * (health.interval + health.timeout) if health else 60.0
    return min(2 * max(spec.replicas, 1) * (check + spec.stop_grace_seconds) + spec.update_monitor_seconds + MARGIN, LONGEST)


async def watch(run: Run, spec: ServiceSpec, image_id: str, *, first: bool) -> None:
    """Wait for the end of a rollout, in which every container runs the image of this id; `first` when there is no version before.

    Raises `StageFailed` with the reason and the new containers' last lines, after the version before is back; of a first deployment
    nothing is left.
    """
    loop = asyncio.get_running_loop()
    health = health_of(spec, await run.runtime.engine.image(spec.image))
    patience = deadline_of(spec, health)
    ends = loop.time() + patience
    while True:
        state = await _look(run, spec, health)
        if isinstance(state, Converged):
            if await _is_image(run, image_id):
                return
            state = Failed("IMAGE_MISMATCH", f"A container runs another image than the recorded {image_id}.")
        if isinstance(state, Converging) and loop.time() > ends:
            state = Failed(state.code or "HEALTH_CHECK_FAILED", state.reason or "The new containers did not become healthy in time.")
        if isinstance(state, Failed):
            state = await _diagnosed(run, state)
            break
        run.journal.advance(85 + 14 * state.running // max(spec.replicas, 1))
        await asyncio.sleep(POLL)
    failure = StageFailed(state.code, _sentence(state, spec), await _last_words(run, state.task))
    try:
        await _undo(run, spec, first=first, patience=max(patience, ROLLBACK_PATIENCE))
    except (docker.DockerError, EngineUnavailable) as error:  # the deployment's own failure is what counts
        run.journal.say(f"Going back to the version before failed: {error}", LogLevel.error)
    raise failure


async def _look(run: Run, spec: ServiceSpec, health: HealthCheck | None) -> Converging | Converged | Failed:
    engine = run.runtime.engine
    service = await engine.service(spec.name)
    if service is None:
        return Failed("SERVICE_GONE", "The service was removed while it was being deployed.")
    tasks = await engine.tasks(spec.name)
    deployment = str(run.deployment.id)
    return convergence(
        _checked(service, health), tasks, image=spec.image, deployment=deployment, replicas=spec.replicas, now=datetime.now(UTC)
    )


async def _diagnosed(run: Run, state: Failed) -> Failed:
    """The failure, when a container that ended without an error was told to because its health check did not pass."""
    if state.task is None or state.task.state != "complete" or state.task.container_id is None:
        return state
    try:
        status, _ = await run.runtime.engine.container_health(state.task.container_id)
    except EngineUnavailable:
        return state
    return replace(state, code="HEALTH_CHECK_FAILED", reason="The health check did not pass.") if status == "unhealthy" else state


async def _is_image(run: Run, image_id: str) -> bool:
    """Whether the containers of this deployment on this host run what was recorded, and not what its name means by now."""
    containers = await run.runtime.engine.containers(f"dokploy.deployment={run.deployment.id}")
    return all(container["ImageID"] == image_id for container in containers if container["State"] == "running")


def _checked(service: dict[str, Any], health: HealthCheck | None) -> dict[str, Any]:
    """The service as if its image's HEALTHCHECK were its own: either way a task runs only once it is healthy."""
    if health is None:
        return service
    template = service["Spec"]["TaskTemplate"]
    container = template["ContainerSpec"] | {"Healthcheck": {"Test": ["CMD-SHELL", health.command]}}
    return service | {"Spec": service["Spec"] | {"TaskTemplate": template | {"ContainerSpec": container}}}


def _sentence(state: Failed, spec: ServiceSpec) -> str:
    """The reason, with what the user can do about it."""
    if state.code != "PORT_IN_USE":
        return state.reason
    ports = ", ".join(str(port.published) for port in spec.ports)
    if spec.replicas > 1 and any(port.mode == "host" for port in spec.ports):
        return f"Without the routing mesh a node runs only one replica that publishes {ports}: deploy one replica, or publish no port."
    return port_in_use(port.published for port in spec.ports)


def port_in_use(ports: Iterable[int]) -> str:
    """What to say of published ports that another program has."""
    return f"A published port is already in use. Publish another one than {', '.join(map(str, ports))}, or stop what listens there."


async def _last_words(run: Run, task: Task | None) -> list[str]:
    """The last lines of the container to blame, and what its health check said; without the secrets that it may have printed."""
    if task is None or task.container_id is None:
        return []
    engine = run.runtime.engine
    try:
        lines = await engine.container_logs(task.container_id, LOG_TAIL)
        _, outputs = await engine.container_health(task.container_id)
    except EngineUnavailable:
        return []
    words = [*lines, *(f"health check: {output}" for output in outputs)][-LOG_TAIL:]
    for line in words:
        run.journal.say(line, LogLevel.warning)
    return run.journal.last[len(run.journal.last) - len(words) :]


async def _undo(run: Run, spec: ServiceSpec, *, first: bool, patience: float) -> None:
    """Remove a service that never ran, or wait for the version before, asking for it when Swarm has not begun by itself."""
    engine, client, loop = run.runtime.engine, run.runtime.docker, asyncio.get_running_loop()
    await run.still_held()
    if first:
        await docker.remove_service(client, spec.name)
        return
    run.journal.say("Going back to the version before", LogLevel.warning)
    service = await engine.service(spec.name)
    if deployment_of(service) == str(run.deployment.id):
        await docker.roll_back_service(client, spec.name)
    ends, pushed = loop.time() + patience, False
    while loop.time() < ends:
        service, tasks = await engine.service(spec.name), await engine.tasks(spec.name)
        status = ((service or {}).get("UpdateStatus") or {}).get("State", "")
        if service is None or status == "rollback_paused":
            break
        if status in ("rollback_completed", "completed") and _runs(service, tasks):
            run.journal.say("The version before serves")
            return
        if not pushed and _locked(tasks, datetime.now(UTC)):
            pushed = True
            await docker.restart_service(client, spec.name)
        await asyncio.sleep(POLL)
    run.journal.say("Swarm has not come back to the version before", LogLevel.error)


def _locked(tasks: list[Task], now: datetime) -> bool:
    """Whether Swarm waits for itself, which it does for a whole minute.

    With a published port of the host a task that replaced the failed one may wait for the port that is reserved for the version before,
    and that one for the end of this task, which never began. Asked again, Swarm forgets about both.
    """
    return any(task.state == "pending" and not task.wanted and now - task.timestamp > LOCK_PATIENCE for task in tasks)


def _runs(service: Mapping[str, Any], tasks: list[Task]) -> bool:
    """Whether the wanted tasks run: Swarm sometimes calls a rollback completed whose task still waits for its port."""
    told = service["Spec"]
    deployment = deployment_of(service)
    running = [task for task in tasks if (task.state, task.desired_state, task.deployment) == ("running", "running", deployment)]
    wanted: int = told["Mode"]["Replicated"].get("Replicas", 0)
    return len(running) == wanted
