"""How a published port of an application becomes a port of the node: decided here and nowhere else."""

import sys
from enum import StrEnum, unique

from models.settings import settings
from workers.engine import has_ipvs


@unique
class Publishing(StrEnum):
    """The three ways."""

    edge = "edge"
    """Docker publishes nothing that speaks HTTP: Caddy listens, and finds the containers. What it cannot pass is as in `host`."""
    mesh = "mesh"
    """Swarm's routing mesh, which needs IPVS in the kernel."""
    host = "host"
    """The container's own port on its node, so that one container at a time can have it."""


def publishing() -> Publishing:
    """The way of this installation: what `DOKPLOY_EDGE` says, and with `off` what the kernel has."""
    if settings().edge != "off":
        return Publishing.edge
    return Publishing.mesh if has_ipvs() else Publishing.host


_EXPLAINED = {
    Publishing.edge: "through the edge: no request is lost while a version takes the place of another (DOKPLOY_EDGE={edge})",
    Publishing.mesh: "by Swarm's routing mesh (DOKPLOY_EDGE=off, and this kernel has IPVS)",
    Publishing.host: "on the host, by one container at a time: the old one stops before the new one starts "
    "(DOKPLOY_EDGE=off, and this kernel has no IPVS)",
}


def explained() -> str:
    """The way and its reason, for a person."""
    return _EXPLAINED[publishing()].format(edge=settings().edge)


if __name__ == "__main__":
    sys.stdout.write(explained())
