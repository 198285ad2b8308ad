"""Where an application's containers are reached from the host: the addresses that its name stands for at this moment."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from workers.convergence import Task

ZONE: Final = "edge"
BRIDGE: Final = "docker_gwbridge"
"""The network on which the host reaches every container of an overlay network without a port being published."""

Addresses = Mapping[str, tuple[str, ...]]
"""IPv4 addresses by application id."""


def name_of(application: str) -> str:
    """The name by which Caddy asks for an application's addresses."""
    return f"{application}.{ZONE}"


def addresses(tasks: Iterable[Task], bridge: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The addresses of the containers that may be sent requests, as two reads of the Engine tell them.

    A task counts while Swarm wants it to run and its health check passes: until then it is `starting`. `bridge` is the inspected
    network, whose containers are keyed by their ids.
    """
    found: dict[str, list[str]] = {}
    containers: Mapping[str, Mapping[str, str]] = bridge.get("Containers") or {}
    for task in tasks:
        if task.application is None or (task.state, task.desired_state) != ("running", "running"):
            continue
        address = containers.get(task.container_id or "", {}).get("IPv4Address", "").partition("/")[0]
        if address:
            found.setdefault(task.application, []).append(address)
    return {application: tuple(sorted(each)) for application, each in found.items()}
