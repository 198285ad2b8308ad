"""Published ports: each port of the host belongs to one application at most."""

import socket
from typing import Any

from tortoise.connection import get_connection

from models.rows import Application, PublishedPort
from models.settings import settings

HTTP = "tcp"
"""The protocol of the ports that speak HTTP, which therefore can be reached through the edge; `tcp-raw` and `udp` cannot (DECISIONS 23)."""
_LOCK = 0x706F7274


class PortTaken(Exception):
    """The published port belongs to another application."""


async def claim(application: Application, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ports with a published port for each; the application keeps those it has and gives back what it no longer wants.

    Runs inside the caller's transaction. Raises `PortTaken` when a port that was asked for belongs to another application, or none is free.
    """
    await get_connection("default").execute_query("select pg_advisory_xact_lock($1)", [_LOCK])
    kept = {each["container_port"]: each["published_port"] for each in application.ports}
    await PublishedPort.filter(application_id=application.id).delete()
    taken: set[Any] = set(await PublishedPort.all().values_list("port", flat=True))
    claimed = []
    for each in wanted:
        asked = each["published_port"] or kept.get(each["container_port"])
        if each["published_port"] and (asked in taken or asked in reserved()):
            raise PortTaken(f"Port {asked} belongs to {'another application' if asked in taken else 'this installation'}.")
        port = asked if asked is not None and asked not in taken else _free(taken, wanted)
        taken.add(port)
        await PublishedPort.create(port=port, application_id=application.id)
        claimed.append({**each, "published_port": port})
    return claimed


def is_free(port: int) -> bool:
    """Whether no other program of this machine, as far as it is the one with the containers, listens on a port."""
    return obstacle(port) is None


def obstacle(port: int, kind: int = socket.SOCK_STREAM) -> str | None:
    """Why nobody can listen on a port of all addresses of this machine, IPv4 and IPv6; None when somebody can."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def reserved() -> frozenset[int]:
    """The ports of this installation itself."""
    given = settings()
    gateway = {int(given.edge_gateway.rpartition(":")[2])} if given.edge_gateway else set[int]()
    return given.reserved_ports | {*given.edge_ports, given.edge_resolver[1]} | gateway


def _free(taken: set[Any], wanted: list[dict[str, Any]]) -> int:
    asked = {each["published_port"] for each in wanted}
    first, last = settings().port_range
    for port in range(first, last + 1):
        if port not in taken and port not in asked and port not in reserved() and is_free(port):
            return port
    raise PortTaken(f"No port from {first} to {last} is free.")
