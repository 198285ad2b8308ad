"""Clients who do not read: given up when nothing goes out to them for too long, and not before."""

import asyncio

import pytest

from gateway import unread
from gateway.unread import Receiver, Unread


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "UNREAD", 0.2)


async def test_who_does_not_read_is_given_up_wherever_the_block_waits() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Unread):
            async with Receiver() as receiver:
                with receiver:
                    await asyncio.Event().wait()


async def test_who_is_sent_nothing_is_not_given_up() -> None:
    async with Receiver() as receiver:
        with receiver:
            pass
        await asyncio.sleep(0.5)


async def test_who_reads_slowly_is_not_given_up_though_something_always_waits() -> None:
    async with Receiver() as receiver:
        with receiver:
            for _ in range(10):
                with receiver:
                    await asyncio.sleep(0.1)


async def test_nobody_is_looked_after_when_all_are_gone() -> None:
    async with Receiver(), Receiver():
        task = unread._receivers._task
        assert task is not None
    await asyncio.gather(task, return_exceptions=True)
    assert (task.cancelled(), unread._receivers._task) == (True, None)
