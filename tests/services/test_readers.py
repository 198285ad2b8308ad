"""Connections for reads are lent, taken back and replaced."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.embedded.stack import Stack
from models.database import credentials
from models.readers import Readers
from models.settings import settings

pytestmark = pytest.mark.services


@pytest.fixture
async def readers(stack: Stack) -> AsyncIterator[Readers]:
    found = Readers(credentials(settings().database_url), 2)
    yield found
    await found.close()


async def backend(readers: Readers) -> int:
    async with readers.lend() as connection:
        return int(await connection.fetchval("select pg_backend_pid()"))


async def test_the_one_that_came_back_last_is_lent_first(readers: Readers) -> None:
    async with readers.lend() as first, readers.lend() as second:
        pids = [await each.fetchval("select pg_backend_pid()") for each in (first, second)]
    assert len(set(pids)) == 2
    assert [await backend(readers) for _ in range(3)] == [pids[0]] * 3


async def test_whoever_comes_when_all_are_lent_waits(readers: Readers) -> None:
    async with readers.lend():
        async with readers.lend():
            waiting = asyncio.create_task(backend(readers))
            await asyncio.sleep(0.05)
            assert not waiting.done()
        assert await waiting


async def test_what_raised_is_not_lent_again(readers: Readers) -> None:
    before = await backend(readers)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with readers.lend() as connection:
            await connection.fetchval("select 1 / 0")
    assert await backend(readers) != before


async def test_a_read_that_was_cancelled_leaves_no_answer_to_the_next(readers: Readers) -> None:
    async def slow() -> None:
        async with readers.lend() as connection:
            await connection.fetchval("select pg_sleep(5)")

    for _ in range(3):
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await backend(readers)


async def test_a_connection_that_the_server_ended_is_replaced(readers: Readers) -> None:
    before = await backend(readers)
    async with readers.lend(), readers.lend() as other:
        await other.execute("select pg_terminate_backend($1)", before)
    await asyncio.sleep(0.05)
    assert before not in [await backend(readers) for _ in range(2)]


async def test_a_database_that_is_away_raises_each_time_and_is_tried_again(stack: Stack) -> None:
    readers = Readers(credentials(settings().database_url) | {"host": "/nowhere"}, 1)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await backend(readers)
    await readers.close()
