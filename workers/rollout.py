"""Watching a rollout: polled until exactly the wanted tasks run the new version, or it has failed and the old one is back."""

import asyncio
from datetime import UTC, datetime

from models import LogLevel
from workers import docker
from workers.engine import Converged, Converging, Failed, Task, convergence
from workers.pipeline import Run, StageFailed
from workers.service_spec import ServiceSpec

POLL = 0.2
"""Seconds."""
MARGIN = 30.0
ROLLBACK_PATIENCE = 60.0
LOG_TAIL = 30


def deadline_of(spec: ServiceSpec) -> float:
    """Seconds a rollout may take: long enough for every replica's health check to fail, twice."""
    health = spec.health
    check = health.start_period + health.retries * (health.interval + health.timeout) if health else 60.0
    return 2 * max(spec.replicas, 1) * check + spec.update_monitor_seconds + MARGIN


async def watch(run: Run, spec: ServiceSpec, *, first: bool) -> None:
    """Wait for the end of a rollout.

    Raises `StageFailed` with the reason and the new containers' last lines, after the version before is back; of a first deployment
    nothing is left.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + deadline_of(spec)
    while True:
        state = await _look(run, spec)
        if isinstance(state, Converged):
            return
        if isinstance(state, Converging) and loop.time() > ends:
            state = Failed(state.code or "HEALTH_CHECK_FAILED", state.reason or "The new containers did not become healthy in time.")
        if isinstance(state, Failed):
            break
        run.journal.advance(85 + 14 * state.running // max(spec.replicas, 1))
        await asyncio.sleep(POLL)
    output = await _last_words(run, state.task)
    await _undo(run, spec, first=first)
    raise StageFailed(state.code, state.reason, output)


async def _look(run: Run, spec: ServiceSpec) -> Converging | Converged | Failed:
    engine = run.runtime.engine
    service = await engine.service(spec.name)
    if service is None:
        return Failed("SERVICE_GONE", "The service was removed while it was being deployed.")
    tasks = await engine.tasks(spec.name)
    return convergence(service, tasks, image=spec.image, deployment=str(run.deployment.id), replicas=spec.replicas, now=datetime.now(UTC))


async def _last_words(run: Run, task: Task | None) -> list[str]:
    """The last lines of the container to blame, and what its health check said."""
    if task is None or task.container_id is None:
        return []
    engine = run.runtime.engine
    lines = await engine.container_logs(task.container_id, LOG_TAIL)
    _, outputs = await engine.container_health(task.container_id)
    words = [*lines, *(f"health check: {output}" for output in outputs)]
    for line in words:
        run.journal.say(line, LogLevel.warning)
    return words


async def _undo(run: Run, spec: ServiceSpec, *, first: bool) -> None:
    """Remove a service that never ran, or wait for the version before, asking for it when Swarm has not begun by itself."""
    engine, client = run.runtime.engine, run.runtime.docker
    if first:
        await docker.remove_service(client, spec.name)
        return
    ends = asyncio.get_running_loop().time() + ROLLBACK_PATIENCE
    service = await engine.service(spec.name)
    if service is not None and service["Spec"]["Labels"].get("dokploy.deployment") == str(run.deployment.id):
        run.journal.say("Going back to the version before", LogLevel.warning)
        await docker.roll_back_service(client, spec.name)
    while asyncio.get_running_loop().time() < ends:
        service = await engine.service(spec.name)
        status = ((service or {}).get("UpdateStatus") or {}).get("State", "")
        if status in ("rollback_completed", "completed", ""):
            run.journal.say("The version before serves")
            return
        await asyncio.sleep(POLL)
    run.journal.say("Swarm has not come back to the version before in time", LogLevel.error)
