"""Patience with the database: while it is away a stage waits, for as long as its lease may still hold."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from models.database import AWAY
from workers.journal import AWAY_PAUSE, LeaseLost

log = structlog.get_logger()

Result = TypeVar("Result")


async def patiently(ask: Callable[[], Awaitable[Result]], seconds: float) -> Result:
    """What the database answers, asked again while it is away. Raises `LeaseLost` when it is away for longer than `seconds`."""
    give_up = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await ask()
        except AWAY as error:
            log.warning("pipeline.database_away", error=str(error))
            if asyncio.get_running_loop().time() > give_up:
                raise LeaseLost from error
            await asyncio.sleep(AWAY_PAUSE)
