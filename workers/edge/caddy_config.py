"""What Caddy is told to do: its whole configuration, made of what the edge shall serve."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from workers.edge.names import Addresses, name_of

REFRESH: Final = "500ms"
"""How often an application in use is asked for: an address leaves three seconds before its container is told to stop."""
DIAL: Final = "1s"
TRY: Final = "5s"
"""For as long as no container takes a connection, a request waits."""
TRY_AGAIN: Final = "100ms"
IDLE: Final = "1s"
"""Connections to a container are kept no longer than this: a POST over one that was just closed would fail."""
FAILED: Final = "2s"
"""How long a container that took no connection is left out."""


@dataclass(frozen=True, slots=True)
class PortRoute:
    """A port of the node that leads to a port of an application's containers."""

    application: str
    published: int
    container: int
    grace: int = 10
    """Seconds that a container is given to stop, and a stream to end."""


@dataclass(frozen=True, slots=True)
class Routes:
    """All that the edge shall serve, and the addresses that were known last, for when the name server is away."""

    ports: tuple[PortRoute, ...] = ()
    known: Addresses = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Node:
    """Where Caddy and the name server meet on a node: the socket of Caddy's admin API, and the server's address."""

    admin: str
    resolver: str


def server_name(route: PortRoute) -> str:
    """What Caddy calls the server of a port; its metrics carry it."""
    return f"app_{route.application}_{route.published}"


def configuration(node: Node, routes: Routes) -> dict[str, Any]:
    """The configuration, the same for the same routes in any order."""
    servers = {server_name(route): _port(node, route, routes.known) for route in sorted(routes.ports, key=lambda each: each.published)}
    return {
        "admin": {"listen": f"unix/{node.admin}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": {"encoder": {"format": "json"}, "level": "INFO"}}},
        "apps": {"http": {"grace_period": "10s", "servers": servers, "metrics": {"per_host": True}}},
    }


def _port(node: Node, route: PortRoute, known: Addresses) -> dict[str, Any]:
    return {
        "listen": [f":{route.published}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2c"],
        "routes": [{"handle": [_proxy(node, route, known.get(route.application, ()))]}],
    }


def _proxy(node: Node, route: PortRoute, known: Iterable[str]) -> Mapping[str, Any]:
    return {
        "handler": "reverse_proxy",
        "dynamic_upstreams": {
            "source": "a",
            "name": name_of(route.application),
            "port": str(route.container),
            "refresh": REFRESH,
            "dial_timeout": DIAL,
            "resolver": {"addresses": [node.resolver]},
            "versions": {"ipv4": True, "ipv6": False},
        },
        "upstreams": [{"dial": f"{address}:{route.container}"} for address in known],
        "load_balancing": {"selection_policy": {"policy": "least_conn"}, "try_duration": TRY, "try_interval": TRY_AGAIN},
        "health_checks": {"passive": {"fail_duration": FAILED, "max_fails": 1}},
        "transport": {"protocol": "http", "dial_timeout": DIAL, "keep_alive": {"idle_timeout": IDLE}},
        "stream_close_delay": f"{route.grace}s",
    }
