"""Waiting in line for a connection: as long as the line moves, but not for a database that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from models.patience import Patience

PATIENCE = 2.0
"""Seconds after which a line that does not move is left."""

Found = TypeVar("Found")


class Line:
    """Whoever waits for a connection of one pool."""

    def __init__(self) -> None:
        self._moved = 0.0

    def move(self) -> None:
        """Take note that a connection came back which can be lent again."""
        self._moved = asyncio.get_running_loop().time()

    async def wait(self, attempt: Callable[[], Awaitable[Found]]) -> Found:
        """What an attempt finds, which is given up and made again while the line moves. Raises `ConnectionError`, and what it raises."""
        time = asyncio.get_running_loop().time
        began = time()
        while True:
            try:
                async with Patience(max(began, self._moved) + PATIENCE - time()):
                    return await attempt()
            except TimeoutError as error:
                if time() >= max(began, self._moved) + PATIENCE:
                    raise ConnectionError("there is no connection to be had") from error
