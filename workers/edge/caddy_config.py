"""What Caddy is told to do: its whole configuration, made of what the edge shall serve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from workers.edge import domain_config
from workers.edge.domain_config import Authority, DomainRoute
from workers.edge.handover import handing_over
from workers.edge.names import name_of

REFRESH: Final = "500ms"
"""How often an application in use is asked for: an address leaves three seconds before its container is told to stop."""
DIAL: Final = "1s"
TRY: Final = "5s"
"""For as long as no container takes a connection, a request waits."""
TRY_AGAIN: Final = "100ms"
IDLE: Final = "1s"
"""Connections to a container are kept no longer than this: a POST over one that was just closed would fail."""
OF_REQUESTS: Final = ["http.handlers.reverse_proxy", "http.log.error"]
"""What Caddy would log of each request that goes wrong, with its whole URL: it would fill the disk with what is nobody's business."""
STOPPING: Final = "10s"
"""How long requests go on when Caddy stops."""
STREAMS: Final = "24h"
"""How long WebSockets go on when the configuration changes: it does so for all when anybody's port or domain comes or goes."""
FAILED: Final = "2s"
"""How long a container that took no connection is left out."""


@dataclass(frozen=True, slots=True)
class PortRoute:
    """A port of the node that leads to a port of an application's containers."""

    application: str
    published: int
    container: int
    keep_alive: bool = True
    """Whether a connection to a container serves several requests."""


@dataclass(frozen=True, slots=True)
class Routes:
    """All that the edge shall serve."""

    ports: tuple[PortRoute, ...] = ()
    domains: tuple[DomainRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """What Caddy finds on a node: the name server's address, the socket of its log, and the ports for the world."""

    resolver: str
    log: str = ""
    """Unix socket that is told of certificates which could not be had; empty is none."""
    http: int = 80
    https: int = 443
    authority: Authority = field(default_factory=Authority)


def server_name(route: PortRoute) -> str:
    """What Caddy calls the server of a port; its metrics carry it."""
    return f"app_{route.application}_{route.published}"


def configuration(node: Node, routes: Routes) -> dict[str, Any]:
    """The configuration, the same for the same routes in any order."""
    servers = {server_name(route): _port(node, route) for route in sorted(routes.ports, key=lambda each: each.published)}
    apps: dict[str, Any] = {"http": {"grace_period": STOPPING, "servers": servers, "metrics": {"per_host": True}}}
    if routes.domains:
        apps["http"] |= {"http_port": node.http, "https_port": node.https}
        servers[domain_config.SERVER] = domain_config.server(routes.domains, node.https, partial(_leading, node))
        apps["tls"] = domain_config.certificates(routes.domains, node.authority)
        apps["pki"] = {"certificate_authorities": {"local": {"install_trust": False}}}
    admin = {"config": {"persist": False}}  # where it listens is in its environment, since each task of a service has its own
    folder = node.log.rpartition("/")[0]
    return handing_over({"admin": admin, "logging": {"logs": _logs(node)}, "apps": apps}, folder)


def _logs(node: Node) -> dict[str, Any]:
    logs: dict[str, Any] = {"default": {"encoder": {"format": "json"}, "level": "INFO", "exclude": OF_REQUESTS}}
    if node.log:
        writer = {"output": "net", "address": f"unixgram/{node.log}", "soft_start": True}
        told = ["tls.obtain", "tls.renew"]
        logs["certificates"] = {"writer": writer, "encoder": {"format": "json"}, "level": "ERROR", "include": told}
    return logs


def _port(node: Node, route: PortRoute) -> dict[str, Any]:
    return {
        "listen": [f":{route.published}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2c"],
        "routes": [{"handle": [_leading(node, route)]}],
    }


def _leading(node: Node, route: PortRoute | DomainRoute) -> Mapping[str, Any]:
    """What passes requests on to a port of an application's containers.

    They are found by name alone: an address that was known before may be another application's by now.
    """
    if isinstance(route, DomainRoute) and route.address is not None:
        return {"handler": "reverse_proxy", "upstreams": [{"dial": route.address}], "stream_close_delay": STREAMS}
    kept = {"idle_timeout": IDLE} if route.keep_alive else {"enabled": False}
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
        "load_balancing": {"selection_policy": {"policy": "least_conn"}, "try_duration": TRY, "try_interval": TRY_AGAIN},
        "health_checks": {"passive": {"fail_duration": FAILED, "max_fails": 1}},
        "transport": {"protocol": "http", "dial_timeout": DIAL, "keep_alive": kept},
        "stream_close_delay": STREAMS,
    }
