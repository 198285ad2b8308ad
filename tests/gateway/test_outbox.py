"""Frames that wait for a client."""

import asyncio

import pytest

from gateway.outbox import Outbox


async def test_frames_come_out_in_their_order() -> None:
    outbox = Outbox()
    for frame in (b"one", b"two"):
        await outbox.put(frame)
    assert [await outbox.get(), await outbox.get()] == [b"one", b"two"]


async def test_whoever_has_more_waits_while_there_is_no_room() -> None:
    outbox = Outbox(10)
    await outbox.put(b"x" * 10)
    waiting = asyncio.create_task(outbox.put(b"more"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert await outbox.get() == b"x" * 10
    await waiting
    assert await outbox.get() == b"more"


async def test_it_is_empty_once_the_last_frame_has_come_out() -> None:
    outbox = Outbox()
    await outbox.put(b"one")
    await outbox.put(b"two")
    emptied = asyncio.create_task(outbox.emptied())
    for frame in (b"one", b"two"):
        await asyncio.sleep(0.01)
        assert not emptied.done()
        assert await outbox.get() == frame
    await emptied


@pytest.mark.parametrize("full", [True, False])
async def test_nobody_waits_once_it_is_closed(full: bool) -> None:
    outbox = Outbox(1)
    if full:
        await outbox.put(b"x")
    waiting = asyncio.create_task(outbox.put(b"more") if full else outbox.get())
    await asyncio.sleep(0.01)
    await outbox.close()
    assert await waiting is None
    await outbox.put(b"too late")
    assert await outbox.get() is None
