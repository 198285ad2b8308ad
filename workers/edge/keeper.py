"""The keeper: has Caddy serve what the database says, and nothing else."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from models import Application
from models.database import AWAY
from models.ports import is_free
from workers.edge.agent import Agent
from workers.edge.caddy import Caddy, ConfigurationRefused, EdgeAway
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration, server_name

log = structlog.get_logger()

INTERVAL: Final = 1.0
"""Seconds between two looks: what changes within one is one change."""


async def wanted() -> tuple[PortRoute, ...]:
    """The ports of all applications that speak HTTP (DECISIONS 23)."""
    rows = await Application.filter(deleted_at=None).values_list("id", "ports")
    return tuple(
        PortRoute(str(id), port["published_port"], port["container_port"])
        for id, ports in rows
        for port in ports
        if port["protocol"] == "tcp" and port["published_port"] is not None
    )


def _lasting(given: Mapping[str, Any]) -> Any:
    """A configuration without the addresses that were known when it was made: that they change is no reason for another."""
    if isinstance(given, Mapping):
        return {key: _lasting(value) for key, value in given.items() if key != "upstreams"}
    if isinstance(given, list):
        return [_lasting(each) for each in given]
    return given


class Keeper:
    """Looks again and again; keeps nothing in mind, so that it may be restarted at any time, and Caddy too."""

    def __init__(self, node: Node, caddy: Caddy, agent: Agent) -> None:
        self._node, self._caddy, self._agent = node, caddy, agent
        self.left_out: tuple[int, ...] = ()
        """Ports that another program of this machine has."""

    async def keep(self) -> bool:
        """Have Caddy serve what is wanted now. Whether there was anything to change. Raises `EdgeAway` and `ConfigurationRefused`."""
        loaded = await self._caddy.loaded() or {}
        ports = await wanted()
        served = loaded.get("apps", {}).get("http", {}).get("servers", {})
        left_out = [port for port in ports if server_name(port) not in served and not is_free(port.published)]
        self.left_out = tuple(port.published for port in left_out)
        routes = Routes(tuple(port for port in ports if port not in left_out), self._agent.known)
        new = configuration(self._node, routes)
        if _lasting(new) == _lasting(loaded):
            return False
        await self._caddy.load(new)
        log.info("edge.configured", ports=len(routes.ports), left_out=self.left_out)
        return True

    async def run(self) -> None:
        """Keep at it until cancelled."""
        while True:
            try:
                await self.keep()
            except (EdgeAway, ConfigurationRefused, *AWAY) as error:
                log.warning("edge.not_configured", error=str(error))
            await asyncio.sleep(INTERVAL)
