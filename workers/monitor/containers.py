"""The containers on this host that are followed and measured, and whose they are, as two reads of the Engine tell."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from workers.convergence import APPLICATION_LABEL
from workers.databases.desired import DATABASE_LABEL

LABELS: Final = (APPLICATION_LABEL, DATABASE_LABEL)
"""Of the containers of applications and of databases; the value is the id of what they belong to."""
_TASK: Final = re.compile(r".+\.(\d+)\.[a-z0-9]{25}")
"""What Swarm calls a container: after its service, its number and its task."""


@dataclass(frozen=True)
class Place:
    """A container that runs here, and where the host reaches it, if it does."""

    container: str
    address: str | None


def number_of(container: Mapping[str, Any]) -> int | None:
    """The number of a container among those of its service; None of one that Swarm has not started."""
    found = _TASK.fullmatch(container.get("Name") or "")
    return int(found[1]) if found else None


def owner_of(container: Mapping[str, Any], labels: Iterable[str] = LABELS) -> UUID | None:
    """Whose a container of Swarm's is, by one of these labels.

    An image brings labels of its own along, whoever built it. Above them stand those of the service: an application's container always
    has its application's, so whatever else one says of a database is not believed; nor is a container that no service has started.
    """
    found: Mapping[str, str] = container.get("Labels") or {}
    label = APPLICATION_LABEL if APPLICATION_LABEL in found else DATABASE_LABEL
    if number_of(container) is None or label not in labels:
        return None
    try:
        return UUID(found.get(label, ""))
    except ValueError:
        return None


def running(containers: Iterable[Mapping[str, Any]], bridge: Mapping[str, Any]) -> dict[UUID, Place]:
    """The containers of databases that run here.

    Where a container ends while the next one has begun, it is the next one, which the Engine names first. `bridge` is the inspected
    network on which the host reaches them (`workers.edge.names.BRIDGE`).
    """
    reached: Mapping[str, Mapping[str, str]] = bridge.get("Containers") or {}
    found: dict[UUID, Place] = {}
    for container in containers:
        owner = owner_of(container, (DATABASE_LABEL,))
        if container.get("State") == "running" and owner is not None:
            address = reached.get(container["Id"], {}).get("IPv4Address", "").partition("/")[0]
            found.setdefault(owner, Place(container["Id"], address or None))
    return found


def owners(containers: Iterable[Mapping[str, Any]]) -> dict[str, UUID]:
    """Whose each container is that runs here."""
    return {each["Id"]: owner for each in containers if each.get("State") == "running" and (owner := owner_of(each)) is not None}
