"""Numbered items that many follow: read once for all of them, handed on in memory, and read again by whoever fell behind."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar
from uuid import UUID

from models.bell import bell

MOST_WAITING: Final = 1000
"""Items that wait for one follower, or one part; one who has more has fallen behind, and reads for itself until it has caught up."""


class Numbered(Protocol):
    """What can be followed."""

    @property
    def seq(self) -> int:
        """Its number, which grows."""


Item = TypeVar("Item", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Part(Generic[Item]):
    """Items that follow each other, and whether no more will come after them."""

    items: Sequence[Item]
    last: bool = False


Read = Callable[[UUID, int], Awaitable[Part[Item]]]
"""The next items of an id after a number, from the database."""


class Follower(Generic[Item]):
    """What waits for one follower."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._come: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.behind = False
        """Whether there was more than may wait: then nothing does, and nothing comes any more."""
        self.ended = False

    def put(self, items: Sequence[Item]) -> None:
        """Hand items on."""
        if self.behind:
            return
        if self._items and len(self._items) + len(items) > MOST_WAITING:
            self.behind = True
            self._items = []
        else:
            self._items += items
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more will come, because of an error where there is one: then also what waits is not handed on."""
        self.ended, self._error = True, error
        self._wake()

    async def next(self) -> Sequence[Item]:
        """What waits, once there is something; nothing when no more will come, or it has fallen behind. Raises what it was ended with."""
        while not (self._items or self.behind or self.ended):
            self._come = asyncio.get_running_loop().create_future()
            await self._come
        if self._error is not None:
            raise self._error
        found, self._items = self._items, []
        return found

    def check(self) -> None:
        """Raise what it was ended with."""
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._come is not None and not self._come.done():
            self._come.set_result(None)


class _Feed(Generic[Item]):
    """The followers of one id, and how far they were all told."""

    def __init__(self, id: UUID, read: Read[Item], position: int, over: Callable[[], None]) -> None:
        self._id, self._read, self._over = id, read, over
        self.position = position
        self.followers: set[Follower[Item]] = set()
        self._task = asyncio.create_task(self._run())

    def leave(self, follower: Follower[Item]) -> None:
        """Tell a follower no more; without any nothing is read."""
        self.followers.discard(follower)
        if not self.followers:
            self._over()
            self._task.cancel()

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            with bell.heard(self._id) as ear:
                while True:
                    ear.clear()
                    part = await self._read(self._id, self.position)
                    if part.items:
                        self.position = part.items[-1].seq
                        for follower in self.followers:
                            follower.put(part.items)
                    if part.last:
                        return
                    if not part.items:
                        await ear.wait()
        except Exception as found:
            error = found
        finally:
            self._over()
            for follower in self.followers:
                follower.end(error)


class Feeds(Generic[Item]):
    """The feeds of this process of one kind, by the ids of what is followed."""

    def __init__(self, read: Read[Item], most_behind: int | None = None) -> None:
        self._read, self._most_behind = read, most_behind
        self._feeds: dict[UUID, _Feed[Item]] = {}

    @property
    def followers(self) -> int:
        """How many follow something."""
        return sum(len(each.followers) for each in self._feeds.values())

    async def follow(self, id: UUID, after: int, follower: Follower[Item]) -> AsyncGenerator[Item]:
        """The items of an id after a number as they come, up to the last one.

        Whoever falls behind loses nothing, unless that is by more than `most_behind` items: of those, the oldest are left out.
        Raises what reading raises, and what `follower` is ended with by somebody else.
        """
        feed, seq = self._joined(id, after, follower), after
        behind = follower.behind
        try:
            while True:
                if behind:
                    items = await self._missed(feed, id, seq, follower)
                    behind = follower.behind
                elif not (items := await follower.next()):
                    if not follower.behind:
                        return
                    behind = True
                    if self._most_behind is not None:
                        seq = max(seq, feed.position - self._most_behind)
                for item in items:
                    if item.seq > seq:
                        follower.check()
                        seq = item.seq
                        yield item
        finally:
            feed.leave(follower)

    def _joined(self, id: UUID, after: int, follower: Follower[Item]) -> _Feed[Item]:
        found = self._feeds.get(id)
        if found is None:
            found = self._feeds[id] = _Feed(id, self._read, after, lambda: self._forget(id, found))
        follower.behind = after < found.position
        found.followers.add(follower)
        return found

    def _forget(self, id: UUID, feed: "_Feed[Item] | None") -> None:
        if self._feeds.get(id) is feed:
            del self._feeds[id]

    async def _missed(self, feed: _Feed[Item], id: UUID, seq: int, follower: Follower[Item]) -> Sequence[Item]:
        """What a follower that is behind reads for itself; once there is nothing it is where the others are."""
        position = feed.position
        items = (await self._read(id, seq)).items if seq < position else ()
        if not items and feed.position == position:
            follower.behind = False
            feed.position = min(feed.position, seq)
        return items
