"""Somebody who watches many things at once, and misses nothing but what is over already."""

import asyncio
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID


class Watched(Protocol):
    """What can be watched."""

    @property
    def key(self) -> UUID:
        """Whose state it is."""


Item = TypeVar("Item", bound=Watched)


class Watcher(Generic[Item]):
    """Of each thing the newest state waits, until it is fetched."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, Any] = {}
        self._come = asyncio.Event()
        self._error: BaseException | None = None

    def end(self, error: BaseException) -> None:
        """Say why no more will be told."""
        self._error = error
        self._come.set()

    def put(self, items: Iterable[Item]) -> None:
        """Tell what has become of some things, in place of what was told of them and is not fetched yet."""
        for each in items:
            self._waiting.pop(each.key, None)
            self._waiting[each.key] = each
            self._come.set()

    async def fetch(self) -> list[Item]:
        """What waits, the oldest first, once there is something. Raises why no more will be told."""
        await self._come.wait()
        if self._error is not None:
            raise self._error
        self._come.clear()
        found, self._waiting = list(self._waiting.values()), {}
        return found
