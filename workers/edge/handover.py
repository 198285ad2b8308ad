"""How one configuration of Caddy's takes the place of another while people hold connections to it.

Caddy would close at once what is kept alive, also a connection on which a request is just being sent: each change would cost most of the
busy ones a request. With a delay the servers from before go on beside the new ones, but only those are told of it of which a listener goes
away for good. So every server has a listener of its own that is another one in each configuration, and whoever it serves in its last
seconds is told `Connection: close` with the answer (RFC 9112, section 9.6); not over HTTP/3, which has no such field (RFC 9114, section
4.2), and not with the answer that opens a WebSocket.

What the servers from before answer meanwhile is in their own counters, which end with them: one more server tells them until then.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

DELAY: Final = "1s"
ALMOST: Final = 0.85
"""Seconds after which that is nearly over."""
COUNTERS: Final = "counters"
"""The server that tells the counters of its configuration."""
"""For so long the servers from before go on. Who has not asked for anything meanwhile is not waiting for an answer."""
_CLOSING: Final = {
    "match": [{"vars": {"{http.shutting_down}": ["true"]}, "not": [{"protocol": "http/3"}]}],
    "handle": [
        {"handler": "headers", "response": {"deferred": True, "require": {"status_code": [2, 3, 4, 5]}, "set": {"Connection": ["close"]}}}
    ],
}


def handing_over(configuration: dict[str, Any], folder: str = "") -> dict[str, Any]:
    """A configuration of Caddy's, made so that another one can take its place; the same for the same one.

    `folder` is for the sockets at which the counters are told; without one they are not.
    """
    generation = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]
    http = configuration["apps"]["http"]
    servers = {name: _leaving(server, f"unix/@dokploy-{generation}-{name}") for name, server in http["servers"].items()}
    if folder:
        servers[COUNTERS] = {"listen": [f"unix/{folder}/{generation}.sock|0600"], "routes": [{"handle": [{"handler": "metrics"}]}]}
    return configuration | {"apps": configuration["apps"] | {"http": http | {"shutdown_delay": DELAY, "servers": servers}}}


def counters_of(configuration: Mapping[str, Any]) -> str | None:
    """The socket at which a configuration's counters are told for as long as it is served; None when they are not."""
    server = configuration.get("apps", {}).get("http", {}).get("servers", {}).get(COUNTERS)
    return str(server["listen"][0]).removeprefix("unix/").partition("|")[0] if server else None


def _leaving(server: dict[str, Any], listener: str) -> dict[str, Any]:
    """A server that can be told that it is going: the socket, in Linux's abstract namespace, is there for nobody to use."""
    return server | {"listen": [*server["listen"], listener], "routes": [_CLOSING, *server["routes"]]}
