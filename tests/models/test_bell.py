"""What wakes followers: each by its own id, at once when it rings, and by itself after a while."""

import asyncio
from uuid import UUID

import pytest

from models import bell as bells
from models.bell import Bell

ONE, OTHER = UUID(int=1), UUID(int=2)
AT_ONCE = 2.0


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by themselves."""
    monkeypatch.setattr(bells, "PATIENCE", 60.0)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits looks by themselves very soon."""
    monkeypatch.setattr(bells, "PATIENCE", 0.02)


async def test_it_wakes_everybody_who_follows_an_id(unhurried: None) -> None:
    bell = Bell()
    with bell.heard(ONE) as first, bell.heard(ONE) as second:
        waiting = [asyncio.create_task(ear.wait()) for ear in (first, second)]
        await asyncio.sleep(0)
        bell.ring(str(ONE))
        await asyncio.wait_for(asyncio.gather(*waiting), AT_ONCE)


async def test_it_wakes_nobody_who_follows_another_one(unhurried: None) -> None:
    bell = Bell()
    with bell.heard(ONE) as ear:
        bell.ring(str(OTHER))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ear.wait(), 0.05)


async def test_what_rings_while_one_looks_is_not_missed(unhurried: None) -> None:
    bell = Bell()
    with bell.heard(ONE) as ear:
        ear.clear()
        bell.ring(str(ONE))
        await asyncio.wait_for(ear.wait(), AT_ONCE)


async def test_what_rang_before_one_looked_wakes_nobody(unhurried: None) -> None:
    bell = Bell()
    with bell.heard(ONE) as ear:
        bell.ring(str(ONE))
        ear.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ear.wait(), 0.05)


async def test_whoever_is_not_woken_looks_after_a_while(hurried: None) -> None:
    with Bell().heard(ONE) as ear:
        await asyncio.wait_for(ear.wait(), AT_ONCE)


async def test_an_id_that_nobody_follows_any_more_is_forgotten() -> None:
    bell = Bell()
    with bell.heard(ONE), bell.heard(OTHER):
        with bell.heard(ONE):
            pass
        assert set(bell._ears) == {str(ONE), str(OTHER)}
    assert bell._ears == {}
