"""Outlasting an outage of the Docker Engine: what failed only because of it is done again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from models import LogLevel
from workers.run import Run, StageFailed

PATIENCE = 120.0
"""Seconds for which the engine may be away."""
PAUSE = 1.0
"""Seconds between two looks for it."""
AFTERMATH = 60.0
"""Seconds after its return in which a failure is still blamed on the outage, once: Swarm rolls back what it lost sight of."""

MOST_OUTAGES = 5
"""After so many of them in one stage it fails."""

Result = TypeVar("Result")


async def outlasting(run: Run, work: Callable[[Run], Awaitable[Result]]) -> Result:
    """Do a stage's work, again from its beginning whenever the engine was away meanwhile.

    Raises `StageFailed`: `DOCKER_UNAVAILABLE` when it stays away, and whatever else the work fails with.
    """
    loop = asyncio.get_running_loop()
    forgives_until, outages = 0.0, 0
    while True:
        try:
            return await work(run)
        except StageFailed as error:
            if outages < MOST_OUTAGES and await _is_away(run, error):
                outages += 1
                run.journal.say("The Docker Engine is away: waiting for it", LogLevel.warning)
                if not await _back(run):
                    message = f"The Docker Engine was away for {PATIENCE:.0f} seconds."
                    raise StageFailed("DOCKER_UNAVAILABLE", message, error.output) from error
                forgives_until = loop.time() + AFTERMATH
            elif loop.time() > forgives_until:
                raise
            else:
                run.journal.say(error.message, LogLevel.warning)
                forgives_until = 0.0
            run.journal.say("The Docker Engine is back: once more")


async def _is_away(run: Run, error: StageFailed) -> bool:
    return error.code == "DOCKER_UNAVAILABLE" or not await run.runtime.engine.ping()


async def _back(run: Run) -> bool:
    """Wait for the engine, as a node of its swarm. Whether it came back."""
    ends = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(PAUSE)
        if await run.runtime.engine.manages():
            return True
    return False
