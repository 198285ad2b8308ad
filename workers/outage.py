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

Result = TypeVar("Result")


async def outlasting(run: Run, work: Callable[[Run], Awaitable[Result]]) -> Result:
    """Do a stage's work, again from its beginning whenever the engine was away meanwhile.

    Raises `StageFailed`: `DOCKER_UNAVAILABLE` when it stays away, and whatever else the work fails with.
    """
    while True:
        try:
            return await work(run)
        except StageFailed as error:
            if error.code != "DOCKER_UNAVAILABLE" and await run.runtime.engine.ping():
                raise
            run.journal.say("The Docker Engine is away: waiting for it", LogLevel.warning)
            if not await _back(run):
                raise StageFailed("DOCKER_UNAVAILABLE", f"The Docker Engine was away for {PATIENCE:.0f} seconds.", error.output) from error
            run.journal.say("The Docker Engine is back: once more")


async def _back(run: Run) -> bool:
    """Wait for the engine, as a node of its swarm. Whether it came back."""
    ends = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(PAUSE)
        if await run.runtime.engine.manages():
            return True
    return False
