"""The keeper: has Caddy serve what the database says, and nothing else."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from models.database import AWAY
from models.ports import is_free
from workers.edge.agent import Agent
from workers.edge.caddy import Caddy, ConfigurationRefused, EdgeAway
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration, server_name
from workers.edge.counts import Counter
from workers.edge.domain_config import SERVER
from workers.edge.standing import RENEWAL, Standing, record
from workers.edge.wanted import wanted

log = structlog.get_logger()

INTERVAL: Final = 1.0
"""Seconds between two looks: what changes within one is one change."""
ENGINE_PATIENCE: Final = 5.0
"""Seconds without an answer of the Engine that are no trouble yet."""


def _lasting(given: Mapping[str, Any]) -> Any:
    """A configuration without the addresses that were known when it was made: that they change is no reason for another."""
    if isinstance(given, Mapping):
        return {key: _lasting(value) for key, value in given.items() if key != "upstreams"}
    if isinstance(given, list):
        return [_lasting(each) for each in given]
    return given


class Keeper:
    """Looks again and again; keeps nothing in mind, so that it may be restarted at any time, and Caddy too."""

    def __init__(self, node: Node, caddy: Caddy, agent: Agent, counter: Counter | None = None) -> None:
        self._node, self._caddy, self._agent, self._counter = node, caddy, agent, counter
        self.standing = Standing()
        """What was found and done last."""

    async def keep(self) -> bool:
        """Have Caddy serve what is wanted now. Whether there was anything to change. Raises `EdgeAway` and `ConfigurationRefused`."""
        loaded = await self._caddy.loaded() or {}
        ports, domains = await wanted()
        listening = loaded.get("apps", {}).get("http", {}).get("servers", {})
        left_out = [port for port in ports if server_name(port) not in listening and not is_free(port.published)]
        served = tuple(port for port in ports if port not in left_out)
        blocked = "" if SERVER in listening else _taken(self._node.http, self._node.https)
        new = configuration(self._node, Routes(served, () if blocked else domains, self._agent.known))
        changes: bool = _lasting(new) != _lasting(loaded)
        if changes:
            if self._counter:
                self._counter.take(await self._caddy.metrics())
            await self._caddy.load(new)
            log.info("edge.configured", ports=len(served), domains=len(domains), left_out=[port.published for port in left_out])
        self.standing = Standing(_numbers(served), _numbers(left_out), (blocked if domains else "") or self._trouble())
        return changes

    async def run(self, name: str) -> None:
        """Keep at it and say how it stands with the node of this name, until cancelled. Raises what the database's being away raises."""
        loop = asyncio.get_running_loop()
        said, at = None, 0.0
        while True:
            try:
                await self.keep()
            except (EdgeAway, ConfigurationRefused) as error:
                self.standing = Standing(trouble=str(error))
            if self.standing != said or loop.time() - at >= RENEWAL:
                if self.standing.trouble and (said is None or said.trouble != self.standing.trouble):
                    log.warning("edge.trouble", trouble=self.standing.trouble)
                await record(name, self.standing)
                said, at = self.standing, loop.time()
            await asyncio.sleep(INTERVAL)

    def _trouble(self) -> str | None:
        age = self._agent.age
        return "The Docker Engine does not answer; the addresses are those from before." if age is None or age > ENGINE_PATIENCE else None


def _taken(*ports: int) -> str:
    """What to say of those of the ports for domains that another program has."""
    taken = [str(port) for port in ports if not is_free(port)]
    return f"No domain is served: another program has port {' and '.join(taken)}." if taken else ""


def _numbers(ports: Iterable[PortRoute]) -> tuple[int, ...]:
    return tuple(sorted(port.published for port in ports))


async def kept(keeper: Keeper, name: str) -> None:
    """Run a keeper, again after the database was away; meanwhile Caddy goes on with what it has."""
    while True:
        try:
            await keeper.run(name)
        except AWAY as error:
            log.warning("edge.database_away", error=str(error))
            await asyncio.sleep(INTERVAL)
