"""Whether a service has become what a deployment wanted: a pure reading of what the Engine tells, polled by others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

DEPLOYMENT_LABEL: Final = "dokploy.deployment"
APPLICATION_LABEL: Final = "dokploy.application"
REVISION_LABEL: Final = "dokploy.revision"
"""Tells a database's containers of one wish from those of the one before."""
PENDING_PATIENCE: Final = timedelta(seconds=10)
"""How long a task may wait for a port that somebody else holds, before that is a failure: Swarm itself would wait for ever."""

_OVER = frozenset({"complete", "failed", "shutdown", "rejected", "orphaned", "remove"})
_ERRORS: Final = (
    (
        r"port is already allocated|address already in use|host-mode port already in use",
        "PORT_IN_USE",
        "A published port is already in use.",
    ),
    (r"unhealthy", "HEALTH_CHECK_FAILED", "The health check did not pass."),
    (r"No such image|pull access denied|manifest unknown", "IMAGE_NOT_FOUND", "The image does not exist on this node."),
    (r"no space left on device", "DISK_FULL", "The disk of the Docker Engine is full."),
)
_PORT_TAKEN = re.compile("host-mode port already in use")


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a service: an attempt to run its container. `deployment` is its container's label, `timestamp` that of its state."""

    id: str
    image: str
    desired_state: str
    state: str
    error: str
    container_id: str | None
    exit_code: int | None
    deployment: str | None
    timestamp: datetime
    slot: int | None
    created_at: datetime
    force: int = 0
    """The counter of forced updates that it was started for: what tells a restarted task from the one before."""
    application: str | None = None
    """Its container's label."""
    revision: str | None = None
    """The same, of a database's container."""

    @property
    def wanted(self) -> bool:
        """Whether Swarm wants it to run, now or after the restart delay."""
        return self.desired_state in ("running", "ready")


@dataclass(frozen=True, slots=True)
class Converging:
    """Not yet. `code` and `reason` say what holds it up, as far as that is known: for the error when the deadline passes."""

    running: int
    wanted: int
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Converged:
    """Exactly the wanted tasks run."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not become what was wanted. `task` is the one to blame; `rollback` is what Swarm does about it by itself."""

    code: str
    reason: str
    task: Task | None = None
    rollback: Literal["none", "running", "completed", "paused"] = "none"


def read_task(entry: Mapping[str, Any]) -> Task:
    """A task as the Engine API gives it."""
    status = entry["Status"]
    container = status.get("ContainerStatus") or {}
    spec = entry["Spec"]["ContainerSpec"]
    labels = spec.get("Labels") or {}
    return Task(
        id=entry["ID"],
        image=spec["Image"],
        desired_state=entry["DesiredState"],
        state=status["State"],
        error=status.get("Err") or "",
        container_id=container.get("ContainerID") or None,
        exit_code=container.get("ExitCode"),
        deployment=labels.get(DEPLOYMENT_LABEL),
        timestamp=read_time(status["Timestamp"]),
        slot=entry.get("Slot"),
        created_at=read_time(entry["CreatedAt"]),
        force=entry["Spec"].get("ForceUpdate") or 0,
        application=labels.get(APPLICATION_LABEL),
        revision=labels.get(REVISION_LABEL),
    )


def deployment_of(service: Mapping[str, Any] | None) -> str | None:
    """The deployment that a service carries; of no service none."""
    labels: Mapping[str, str] = ((service or {}).get("Spec") or {}).get("Labels") or {}
    return labels.get(DEPLOYMENT_LABEL)


def read_time(text: str) -> datetime:
    """A time of the Engine, which has nanoseconds or none."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}").replace(tzinfo=UTC)


def convergence(
    service: Mapping[str, Any],
    tasks: Sequence[Task],
    *,
    image: str,
    deployment: str,
    replicas: int,
    now: datetime | None = None,
    since: datetime | None = None,
) -> Converging | Converged | Failed:
    """Where a service stands on the way to `replicas` tasks of this deployment with this image.

    Call it after the create or update has returned. `service` and `tasks` are as read from the Engine; read the tasks *after* the
    service, so that a completed update is never joined with the tasks from before its end. What failed before `since` is history:
    give the time of the command when it starts no new deployment (scale, restart). `now` is this machine's time
    when not given.
    """
    now = now or datetime.now(UTC)
    ours = [task for task in tasks if task.deployment == deployment and (task.wanted or since is None or task.timestamp >= since)]
    status = service.get("UpdateStatus") or {}
    state = status.get("State") or ""
    if state.startswith("rollback") or state == "paused":
        # Without a task of ours it is the end of the update before, and ours has not begun.
        return _rolled_back(state, ours) if ours else Converging(0, replicas)
    force = service["Spec"]["TaskTemplate"].get("ForceUpdate") or 0
    running = [task for task in ours if (task.state, task.desired_state, task.image, task.force) == ("running", "running", image, force)]
    waiting = Converging(len(running), replicas, *_hint(ours))
    if deployment_of(service) != deployment:
        return waiting
    if blocked := _blocked(tasks, ours, now):
        return blocked
    if state == "updating":
        return waiting
    if not state and (broken := _broken(ours)):
        return broken  # a first deployment: Swarm would restart it for ever
    others = [task for task in tasks if task.wanted and task not in running]
    if len(running) != replicas or others:
        return waiting
    if not state and not _settled(service, running, now):
        return waiting
    return Converged()


def explain(task: Task) -> tuple[str, str]:
    """Code and sentence for what went wrong with a task."""
    for pattern, code, sentence in _ERRORS:
        if re.search(pattern, task.error):
            return code, sentence
    if task.exit_code not in (None, 0) and re.search("non-zero exit", task.error):
        hint = " It may have needed more memory than its limit." if task.exit_code == 137 else ""
        return "CONTAINER_FAILED", f"The container ended with exit code {task.exit_code}.{hint}"
    if task.state == "complete":
        return "CONTAINER_FAILED", "The container ended by itself."
    return "CONTAINER_FAILED", task.error[:500] or "The container did not start."


def _rolled_back(state: str, ours: Sequence[Task]) -> Failed:
    rollback: Literal["running", "completed", "paused"] = "running"
    if state == "rollback_completed":
        rollback = "completed"
    elif state in ("paused", "rollback_paused"):
        rollback = "paused"
    if culprit := _culprit(ours):
        return Failed(*explain(culprit), culprit, rollback)
    return Failed("ROLLED_BACK", "The update was rolled back.", None, rollback)


def _broken(ours: Sequence[Task]) -> Failed | None:
    culprit = _culprit(ours)
    return Failed(*explain(culprit), culprit) if culprit else None


def _culprit(ours: Sequence[Task]) -> Task | None:
    """The first task that ended although nobody wanted it to."""
    ended = [task for task in ours if task.state in ("failed", "rejected", "orphaned", "complete")]
    return min(ended, key=lambda task: task.timestamp, default=None)


def _hint(ours: Sequence[Task]) -> tuple[str | None, str]:
    troubled = [task for task in ours if task.error]
    return explain(max(troubled, key=lambda task: task.timestamp)) if troubled else (None, "")


def _blocked(tasks: Sequence[Task], ours: Sequence[Task], now: datetime) -> Failed | None:
    """A task that waits for a port: a failure, unless the port's holder is one of this service that is just leaving."""
    if any(not task.wanted and task.state not in _OVER for task in tasks):
        return None
    for task in ours:
        if task.wanted and task.state == "pending" and _PORT_TAKEN.search(task.error) and now - task.timestamp > PENDING_PATIENCE:
            return Failed(*explain(task), task)
    return None


def _settled(service: Mapping[str, Any], running: Sequence[Task], now: datetime) -> bool:
    """Without an update Swarm watches nothing; without a health check "running" means "started": then wait as long as an update would."""
    spec = service["Spec"]
    if (spec["TaskTemplate"]["ContainerSpec"].get("Healthcheck") or {}).get("Test"):
        return True
    monitor = timedelta(microseconds=((spec.get("UpdateConfig") or {}).get("Monitor") or 5_000_000_000) / 1000)
    return all(now - task.timestamp >= monitor for task in running)
