"""Those who watch many things at once, and miss nothing but what is over already."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


class Telling(ABC):
    """Tells all who watch in this process, by one task; there is none while nobody watches."""

    def __init__(self) -> None:
        self._watchers: set[Watcher[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def told_to(self, watcher: Watcher[Any]) -> Iterator[None]:
        """Tell somebody what happens from now on."""
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._watchers.discard(watcher)
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None
                self._stopped()

    @abstractmethod
    async def _run(self) -> None:
        """Tell the watchers, until cancelled."""

    def _stopped(self) -> None:  # noqa: B027 (nothing to do for most)
        """Nobody watches any more."""
