"""The tasks of the stand-in's swarm: each an attempt to run one container, from `pending` to its end."""

import asyncio
import copy
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from tests.faults.engine.stock import Container, Stock, now

OVER = frozenset({"complete", "failed", "shutdown", "rejected"})
KEPT = 5
"""Tasks of a slot that ended and are still shown, as in a swarm with its defaults."""


@dataclass
class Pace:
    """How fast things go, in seconds. `monitor` is the longest that an update is watched, whatever its specification says."""

    prepare: float = 0.03
    start: float = 0.03
    healthy: float = 0.1
    stop: float = 0.1
    monitor: float = 60.0
    restart: float = 2.0


@dataclass(eq=False)
class Task:
    """One attempt. `template` is the service's TaskTemplate when it was made."""

    service_id: str
    service_name: str
    slot: int
    template: dict[str, Any]
    desired: str = "running"
    state: str = "new"
    error: str = ""
    exit_code: int = 0
    container: Container | None = None
    shown_image: str | None = None
    """What it says instead of its image, when it lies."""
    id: str = field(default_factory=lambda: token_hex(13)[:25])
    created: str = field(default_factory=now)
    timestamp: str = field(default_factory=now)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it runs, or never will."""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def wanted(self) -> bool:
        """Whether it shall run."""
        return self.desired in ("running", "ready")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its container."""
        name = f"{self.service_name}.{self.slot}.{self.id}"
        swarm = {"service.id": self.service_id, "service.name": self.service_name, "task": "", "task.id": self.id, "task.name": name}
        return {**self.template["ContainerSpec"]["Labels"], **{f"com.docker.swarm.{key}": value for key, value in swarm.items()}}

    def becomes(self, state: str, error: str = "", exit_code: int = 0) -> None:
        """Enter a state, unless it is over; one that runs or is over is settled."""
        if self.over.is_set():
            return
        self.state, self.error, self.exit_code, self.timestamp = state, error, exit_code, now()
        if state == "running" or state in OVER:
            self.settled.set()
        if state in OVER:
            self.over.set()

    def shown(self) -> dict[str, Any]:
        """As the Engine's API shows it."""
        status: dict[str, Any] = {"Timestamp": self.timestamp, "State": self.state, "Message": self.state, "PortStatus": {}}
        if self.error:
            status["Err"] = self.error
        if self.container is not None or self.state == "rejected":
            status["ContainerStatus"] = {"ContainerID": self.container.id if self.container else "", "PID": 0, "ExitCode": self.exit_code}
        spec = copy.deepcopy(self.template)
        spec["ContainerSpec"]["Image"] = self.shown_image or spec["ContainerSpec"]["Image"]
        return {
            "ID": self.id,
            "Version": {"Index": 1},
            "CreatedAt": self.created,
            "UpdatedAt": self.timestamp,
            "Labels": {},
            "Spec": spec,
            "ServiceID": self.service_id,
            "Slot": self.slot,
            "Status": status,
            "DesiredState": self.desired,
        }


def check_of(task: Task, stock: Stock) -> dict[str, Any] | None:
    """The health check that holds: the service's own, else the image's."""
    own: dict[str, Any] | None = task.template["ContainerSpec"].get("Healthcheck")
    image = stock.image(task.template["ContainerSpec"]["Image"])
    return own or (image.health if image else None)


def fails(command: str) -> bool:
    """Whether a command can only fail: the shell of the stand-in understands no more."""
    return command.strip() in ("false", "exit 1")


async def live(task: Task, stock: Stock, pace: Pace) -> None:
    """From `pending` to running, or to the failure that its image or its health check makes of it."""
    for state in ("pending", "preparing"):
        task.becomes(state)
        await asyncio.sleep(pace.prepare)
        if task.over.is_set():
            return
    reference = task.template["ContainerSpec"]["Image"]
    image = stock.image(reference)
    if image is None:
        task.desired = "shutdown"
        task.becomes("rejected", f"No such image: {reference}")
        return
    task.container = container = Container(reference, image.id, task.labels, task.labels["com.docker.swarm.task.name"])
    stock.containers[container.id] = container
    task.becomes("starting")
    await asyncio.sleep(pace.start)
    if task.over.is_set():
        return
    container.state = "running"
    check = check_of(task, stock)
    if check is not None:
        await _checked(task, container, check, pace)
    else:
        task.becomes("running")


async def _checked(task: Task, container: Container, check: dict[str, Any], pace: Pace) -> None:
    container.health = "starting"
    if not fails(" ".join(check["Test"][1:])):
        await asyncio.sleep(pace.healthy)
        container.health = "healthy"
        task.becomes("running")
        return
    await asyncio.sleep((check.get("StartPeriod", 0) + check["Retries"] * check["Interval"]) / 1e9)
    container.health = "unhealthy"
    container.logs.append("the health check did not pass")
    await asyncio.sleep(pace.stop)
    container.state = "exited"
    task.desired = "shutdown"
    task.becomes("failed", "task: non-zero exit (143): dockerexec: unhealthy container", 143)


async def stop(task: Task, pace: Pace, *, desired: str = "shutdown") -> None:
    """End it: its container stops a moment later."""
    task.desired = desired
    await asyncio.sleep(pace.stop)
    if task.container is not None:
        task.container.state = "exited"
    if task.state not in OVER:
        task.becomes("shutdown", exit_code=143)
