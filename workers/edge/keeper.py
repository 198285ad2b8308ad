"""The keeper: has Caddy serve what the database says, and nothing else."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from socket import SOCK_DGRAM
from time import monotonic
from typing import Any, Final

import structlog

from models.database import AWAY
from models.ports import is_free, obstacle
from models.standing import RENEWAL, Standing, record
from workers.edge.agent import Agent
from workers.edge.caddy import Caddy, ConfigurationRefused, EdgeAway
from workers.edge.caddy_config import Node, PortRoute, Routes, configuration, server_name
from workers.edge.counts import Counter
from workers.edge.domain_config import SERVER, DomainRoute
from workers.edge.wanted import wanted

log = structlog.get_logger()

INTERVAL: Final = 1.0
"""Seconds between two looks: what changes within one is one change."""
AGAIN: Final = 30.0
"""Seconds until what was refused is tried again."""
LONGEST: Final = 300
"""Characters of Caddy's reason."""
ENGINE_PATIENCE: Final = 5.0
"""Seconds without an answer of the Engine that are no trouble yet."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A configuration that Caddy did not take, when, and what to say of it."""

    configuration: Any = None
    at: float = float("-inf")
    sentence: str = ""


class Keeper:
    """Looks again and again; what it goes by is in the database and in Caddy, so that each of them may be restarted at any time."""

    def __init__(self, node: Node, caddy: Caddy, agent: Agent, counter: Counter | None = None) -> None:
        self._node, self._caddy, self._agent, self._counter = node, caddy, agent, counter or Counter()
        self.standing = Standing()
        """What was found and done last."""
        self._refusal = Refusal()

    async def keep(self) -> bool:
        """Have Caddy serve what is wanted now. Whether there was anything to change. Raises `EdgeAway` and `ConfigurationRefused`."""
        loaded = await self._caddy.loaded() or {}
        ports, domains = await wanted()
        listening = loaded.get("apps", {}).get("http", {}).get("servers", {})
        left_out = [port for port in ports if server_name(port) not in listening and not is_free(port.published)]
        served = tuple(port for port in ports if port not in left_out)
        blocked = "" if SERVER in listening else _taken(self._node.http, self._node.https)
        choices = [Routes(served, chosen) for chosen in _choices(() if blocked else domains)]
        changed, refused = await self._go_over(loaded, choices)
        if changed:
            log.info("edge.configured", ports=len(served), domains=len(domains), left_out=[port.published for port in left_out])
        trouble = (blocked if domains else "") or refused or self._trouble()
        self.standing = Standing(_numbers(served), _numbers(left_out), trouble)
        return changed

    async def _go_over(self, loaded: Mapping[str, Any], choices: list[Routes]) -> tuple[bool, str]:
        """Have Caddy go over to the first of some configurations that it takes. Whether it changed, and why not to the very first.

        One that was refused is not tried again for a while. Raises what `Caddy.load` raises.
        """
        refused = ""
        for routes in choices:
            new = configuration(self._node, routes)
            if new == loaded:
                return False, refused
            if self._was_refused(new):
                refused = refused or self._refusal.sentence
                continue
            try:
                await self._counter.across(self._caddy, loaded, new)
            except ConfigurationRefused as error:
                refused = refused or f"Not all domains are served: {str(error)[:LONGEST]}"
                self._refusal = Refusal(new, monotonic(), refused)
            else:
                return True, refused
        raise ConfigurationRefused(refused)

    def _was_refused(self, new: Mapping[str, Any]) -> bool:
        return monotonic() - self._refusal.at < AGAIN and bool(self._refusal.configuration == new)

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


def _choices(domains: tuple[DomainRoute, ...]) -> list[tuple[DomainRoute, ...]]:
    """What to serve, then what of it when that is refused: no certificate that somebody uploaded, then no domain; the ports in any case."""
    return list(dict.fromkeys([domains, tuple(each for each in domains if not each.own), ()]))


def _taken(*ports: int) -> str:
    """What to say of those of the ports for domains on which nobody can listen, by TCP or, for HTTP/3, by UDP."""
    reasons = [f"port {port}: {reason}" for port in ports if (reason := obstacle(port) or obstacle(port, SOCK_DGRAM))]
    return f"No domain is served, {', '.join(reasons)}." if reasons else ""


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
