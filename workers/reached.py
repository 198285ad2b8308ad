"""Whether the edge serves the ports of a deployment: looked at before anything of the service is touched."""

import asyncio
from typing import Final

from models import Application, LogLevel
from models.ports import HTTP
from models.standing import FRESH, heard
from workers.engine import Engine
from workers.patience import patiently
from workers.publishing import Publishing
from workers.rollout import port_in_use
from workers.run import Run, StageFailed
from workers.states import LEASE

PATIENCE: Final = 10.0
"""Seconds; the edge looks once a second for what has changed, and a change before this one may take it two more."""
LOOK: Final = 0.2


async def reached(run: Run, application: Application) -> None:
    """Wait until every edge serves the application's ports; say so when one does not, and go on.

    Raises `StageFailed` when another program has one of them.
    """
    wanted = {each["published_port"] for each in application.ports if each["protocol"] == HTTP}
    if run.runtime.publishing is not Publishing.edge or not wanted:
        return
    own = await _own(run.runtime.engine, application.service_name)
    loop = asyncio.get_running_loop()
    ends = loop.time() + PATIENCE
    while True:
        edges = [each.standing for each in await patiently(lambda: heard(FRESH), LEASE)]
        taken = sorted(wanted.intersection(port for each in edges for port in each.left_out) - own)
        if taken:
            raise StageFailed("PORT_IN_USE", port_in_use(taken))
        if edges and all(wanted - own <= set(each.served) for each in edges):
            return
        if loop.time() >= ends:
            break
        await asyncio.sleep(LOOK)
    reason = "the edge is not well" if edges else "the edge is away"
    run.journal.say(f"The ports are not served yet, since {reason}. They will be as soon as it is.", LogLevel.warning)


async def _own(engine: Engine, service_name: str) -> set[int]:
    """The ports that the service itself still publishes, from a time without the edge: they become free with the update."""
    endpoint = ((await engine.service(service_name) or {}).get("Endpoint") or {}).get("Ports") or []
    return {each["PublishedPort"] for each in endpoint if "PublishedPort" in each}
