"""The containers on this host that are measured, as two reads of the Engine tell them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

_SERVICE: Final = "com.docker.swarm.service.id"


@dataclass(frozen=True)
class Place:
    """A container that runs here, and where the host reaches it, if it does."""

    container: str
    address: str | None


def running(label: str, containers: Iterable[Mapping[str, Any]], bridge: Mapping[str, Any]) -> dict[str, Place]:
    """The containers of services that run here, by the value of a label.

    Those that somebody else than Swarm has started are beside a service, such as one that its data are loaded by. Where a container ends
    while the next one has begun, it is the next one, which the Engine names first. `bridge` is the inspected network on which the host
    reaches them (`workers.edge.names.BRIDGE`).
    """
    reached: Mapping[str, Mapping[str, str]] = bridge.get("Containers") or {}
    found: dict[str, Place] = {}
    for container in containers:
        labels: Mapping[str, str] = container.get("Labels") or {}
        if container.get("State") == "running" and label in labels and _SERVICE in labels:
            address = reached.get(container["Id"], {}).get("IPv4Address", "").partition("/")[0]
            found.setdefault(labels[label], Place(container["Id"], address or None))
    return found


def owners(label: str, containers: Iterable[Mapping[str, Any]]) -> dict[str, UUID]:
    """Whose each container of a service is that runs here: the value of the label."""
    found = {each["Id"]: each.get("Labels") or {} for each in containers if each.get("State") == "running"}
    return {id: UUID(labels[label]) for id, labels in found.items() if label in labels and _SERVICE in labels}
