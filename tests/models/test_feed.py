"""Following numbered items: read once for all, and again by whoever fell behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from models import feed
from models.bell import bell
from models.feed import Feeds, Follower, Part


@dataclass(frozen=True)
class Item:
    """Something with a number."""

    seq: int


@dataclass
class Source:
    """Rows in a database, and how often they were read."""

    items: list[Item] = field(default_factory=list)
    over: bool = False
    reads: int = 0
    error: Exception | None = None
    batch: int = 500

    async def read(self, id: UUID, after: int) -> Part[Item]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        found = [each for each in self.items if each.seq > after][: self.batch]
        return Part(found, self.over and (not found or found[-1] is self.items[-1]))

    def add(self, id: UUID, *seqs: int) -> None:
        self.items += map(Item, seqs)
        bell.ring(str(id))


@pytest.fixture
def source() -> Source:
    return Source()


async def all_of(feeds: Feeds[Item], id: UUID, after: int = 0) -> list[int]:
    return [each.seq async for each in feeds.follow(id, after, Follower())]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_everybody_gets_everything_in_order_and_it_is_read_once(source: Source) -> None:
    feeds, id = Feeds(source.read), uuid4()
    following = [asyncio.create_task(all_of(feeds, id)) for _ in range(50)]
    await settled()
    before = source.reads
    for seq in range(1, 11):
        source.add(id, seq)
        await settled()
    assert source.reads - before <= 2 * 10 + 1
    source.over = True
    source.add(id, 11)
    assert await asyncio.gather(*following) == [list(range(1, 12))] * 50
    assert feeds.followers == 0


async def test_whoever_comes_later_reads_what_was_before_and_goes_on_with_the_others(source: Source) -> None:
    feeds, id = Feeds(source.read), uuid4()
    source.add(id, 1, 2, 3)
    first = asyncio.create_task(all_of(feeds, id))
    await settled()
    late, later = asyncio.create_task(all_of(feeds, id)), asyncio.create_task(all_of(feeds, id, 2))
    ahead = asyncio.create_task(all_of(feeds, id, 4))
    await settled()
    source.over = True
    source.add(id, 4, 5)
    assert [await each for each in (first, late, later, ahead)] == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [3, 4, 5], [5]]


async def test_whoever_reads_slowly_loses_nothing_and_holds_nobody_up(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING", 10)
    feeds, id, seen = Feeds(source.read), uuid4(), list[int]()

    async def slowly(follower: Follower[Item]) -> None:
        async for each in feeds.follow(id, 0, follower):
            seen.append(each.seq)
            await asyncio.sleep(0.001)

    follower: Follower[Item] = Follower()
    slow, quick = asyncio.create_task(slowly(follower)), asyncio.create_task(all_of(feeds, id))
    await settled()
    for seq in range(1, 101):
        source.add(id, seq)
        await settled()
        assert len(follower._items) <= 10
    source.over = True
    source.add(id, 101)
    assert await quick == list(range(1, 102))
    await slow
    assert seen == list(range(1, 102))


async def test_of_what_is_too_far_behind_the_oldest_is_left_out(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING", 10)
    feeds, id, seen = Feeds(source.read, most_behind=20), uuid4(), list[int]()
    go = asyncio.Event()

    async def waiting() -> None:
        async for each in feeds.follow(id, 0, Follower()):
            seen.append(each.seq)
            await go.wait()

    task = asyncio.create_task(waiting())
    await settled()
    for seq in range(1, 101):
        source.add(id, seq)
        await settled()
    source.over = True
    go.set()
    source.add(id, 101)
    await task
    assert seen[0] == 1
    assert seen[-21:] == list(range(81, 102))
    assert len(seen) < 40


async def test_what_goes_wrong_is_told_to_all_and_the_next_one_begins_anew(source: Source) -> None:
    feeds, id = Feeds(source.read), uuid4()
    following = [asyncio.create_task(all_of(feeds, id)) for _ in range(2)]
    await settled()
    source.error = ConnectionError("away")
    bell.ring(str(id))
    assert [type(each) for each in await asyncio.gather(*following, return_exceptions=True)] == [ConnectionError] * 2
    source.error, source.over = None, True
    source.add(id, 1)
    assert await all_of(feeds, id) == [1]


async def test_somebody_who_lost_the_right_gets_nothing_more_also_of_what_waits(source: Source) -> None:
    feeds, id, follower = Feeds(source.read), uuid4(), Follower[Item]()
    seen = list[int]()

    async def one() -> None:
        async for each in feeds.follow(id, 0, follower):
            seen.append(each.seq)
            follower.end(PermissionError())

    source.add(id, 1, 2, 3)
    with pytest.raises(PermissionError):
        await one()
    assert seen == [1]


async def test_nothing_is_read_when_nobody_follows(source: Source) -> None:
    feeds, id = Feeds(source.read), uuid4()
    source.add(id, 1)

    async def first() -> AsyncIterator[int]:
        async with aclosing(feeds.follow(id, 0, Follower())) as items:
            async for each in items:
                yield each.seq

    async with aclosing(first()) as found:
        assert await anext(found) == 1
    await settled()
    before = source.reads
    bell.ring(str(id))
    await asyncio.sleep(0.01)
    assert (source.reads, feeds.followers) == (before, 0)


async def test_somebody_who_begins_too_far_ahead_silences_nobody(source: Source) -> None:
    feeds, id = Feeds(source.read), uuid4()
    source.add(id, 1, 2, 3)
    ahead = asyncio.create_task(all_of(feeds, id, 1 << 50))
    await settled()
    rest = asyncio.create_task(all_of(feeds, id))
    await settled()
    source.add(id, 4)
    await settled()
    source.over = True
    source.add(id, 5)
    assert await asyncio.wait_for(rest, 5) == [1, 2, 3, 4, 5]
    assert await asyncio.wait_for(ahead, 5) == []
