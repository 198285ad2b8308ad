"""A limit to a wait: it ends with somebody who says nothing, and not because this process was busy."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import uvloop

from models.patience import TICK, Patience

LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}
LIMIT = 2 * TICK


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return LOOPS[request.param]


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    with ends[0], ends[1]:
        yield ends


async def answered_while_busy(limit: Callable[[], AbstractAsyncContextManager[Any]]) -> bytes:
    """What is heard when the answer comes at once and the process does something else for longer than the limit."""
    with pair() as (ours, theirs):
        async with limit():
            theirs.send(b"answer")
            asyncio.get_running_loop().call_soon(time.sleep, 3 * LIMIT)
            await asyncio.sleep(0)
            return await asyncio.get_running_loop().sock_recv(ours, 100)


async def busy_again_and_again() -> str:
    """An answer that comes after more time than the limit, nearly all of which the process was busy."""
    loop, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    loop.call_later(4 * LIMIT, answer.set_result, "answer")
    for number in range(2):
        loop.call_later(number * 2 * LIMIT, time.sleep, 1.9 * LIMIT)
    async with Patience(1.5 * LIMIT):
        return str(await answer)


async def silent() -> float:
    """Seconds after which nobody waits any more for somebody who says nothing."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with Patience(LIMIT):
            await asyncio.get_running_loop().create_future()
    await asyncio.sleep(0)
    return time.monotonic() - began


def test_an_answer_that_came_while_the_process_was_busy_is_heard(run: Callable[[Any], Any]) -> None:
    assert run(answered_while_busy(lambda: Patience(LIMIT))) == b"answer"


def test_time_in_which_the_process_was_busy_does_not_count(run: Callable[[Any], Any]) -> None:
    assert run(busy_again_and_again()) == "answer"


def test_somebody_who_says_nothing_is_not_waited_for(run: Callable[[Any], Any]) -> None:
    assert LIMIT <= run(silent()) < 3 * LIMIT + 1


async def test_there_need_not_be_a_limit() -> None:
    async with Patience(None):
        await asyncio.sleep(3 * TICK)


async def test_what_is_raised_and_what_is_cancelled_stays_that() -> None:
    with pytest.raises(KeyError):
        async with Patience(LIMIT):
            raise KeyError

    async def waiting() -> None:
        async with Patience(10):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
