"""The ORM's connections: none is lost to what fails, and a line is left only when it does not move."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tortoise.transactions import in_transaction

import models
from models import line
from models.backend import PATIENT, Client, Connection
from models.database import AWAY, MOST_CONNECTIONS, credentials, own_connection
from models.settings import settings
from tests.services.conftest import Api


class Hasty(Connection):
    """A connection that waits for an answer, though not long."""

    patience = 0.3


@pytest.fixture
async def client(stack: object) -> AsyncIterator[Client]:
    """Two connections at most."""
    limits = {"connection_class": Hasty, "server_settings": {"statement_timeout": "900"}}
    found = Client(connection_name="tested", **credentials(settings().database_url), minsize=0, maxsize=2, **limits)
    await found.create_connection(with_db=True)
    yield found
    await found.close()


async def backend(client: Client) -> int:
    return int((await client.execute_query_dict("select pg_backend_pid() as pid"))[0]["pid"])


async def test_a_transaction_that_cannot_begin_costs_no_connection(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> None:
        raise asyncpg.InternalClientError("cut")

    monkeypatch.setattr("asyncpg.transaction.Transaction.start", broken)

    async def begun() -> bool:
        with contextlib.suppress(asyncpg.InternalClientError):
            async with in_transaction():
                return True
        return False

    assert [await asyncio.create_task(begun()) for _ in range(MOST_CONNECTIONS)] == [False] * MOST_CONNECTIONS
    monkeypatch.undo()
    assert await asyncio.create_task(begun())


async def test_a_statement_that_is_given_up_ends_its_connection_at_once(client: Client) -> None:
    before = await backend(client)
    with pytest.raises(ConnectionError):
        await client.execute_query("select pg_sleep(5)")
    began = asyncio.get_running_loop().time()
    assert await backend(client) != before
    assert asyncio.get_running_loop().time() - began < 0.3, "nobody waits until the server has cancelled it"


async def test_a_transaction_whose_statement_is_given_up_is_rolled_back(api: Api, client: Client) -> None:
    with pytest.raises(ConnectionError):
        async with client._in_transaction() as transaction:
            await transaction.execute_query("update account set username = 'nobody'")
            await transaction.execute_query("select pg_sleep(5)")
    assert [user.username for user in await models.User.all()] == ["owner"]


async def test_whoever_is_cancelled_in_a_transaction_is_cancelled_and_nothing_else(client: Client) -> None:
    async def working() -> None:
        async with client._in_transaction() as outer, outer._in_transaction() as inner:
            await inner.execute_query("select pg_sleep(0.2)")

    for _ in range(3):
        task = asyncio.create_task(working())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    await working()


async def test_whoever_is_cancelled_in_a_statement_is_cancelled_and_nothing_else(client: Client) -> None:
    for _ in range(3):
        task = asyncio.create_task(client.execute_query("select pg_sleep(0.2)"))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    assert await backend(client)


async def test_a_line_is_left_when_nothing_comes_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PATIENCE", 0.3)
    async with client.acquire_connection(), client.acquire_connection():
        with pytest.raises(ConnectionError):
            await backend(client)
    assert await backend(client)


async def test_a_line_is_waited_in_as_long_as_it_moves(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PATIENCE", 0.3)

    async def holding() -> None:
        async with client.acquire_connection() as connection:
            await connection.fetch("select pg_sleep(0.2)")

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*[holding() for _ in range(10)])
    assert asyncio.get_running_loop().time() - began > 2 * line.PATIENCE, "the last ones waited longer than the line may stand still"


async def test_a_connection_that_the_server_ended_is_replaced(client: Client) -> None:
    before = await backend(client)
    async with own_connection() as other:
        await other.execute("select pg_terminate_backend($1)", before)
    await asyncio.sleep(0.05)
    assert await backend(client) != before


@pytest.mark.parametrize("silent", ["between statements", "in a statement"])
async def test_what_a_frozen_client_locked_is_free_again_however_often_it_waits_for_it(api: Api, silent: str) -> None:
    await api.application()
    soon = dict.fromkeys(PATIENT["server_settings"], "500")

    async def locked(connection: asyncpg.Connection) -> None:
        await connection.execute("select from application for update")
        if silent == "in a statement":
            await connection.prepare("select 1")  # to the server it is still active

    async with contextlib.AsyncExitStack() as resources:
        frozen, other = [], await asyncpg.connect(**credentials(settings().database_url))
        resources.push_async_callback(other.close)
        for _ in range(6):
            frozen.append(await asyncpg.connect(**credentials(settings().database_url), server_settings=soon))
            resources.callback(frozen[-1].terminate)
            await frozen[-1].execute("begin")
        waiting = [asyncio.create_task(locked(each)) for each in frozen]
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await other.execute("update application set replicas = 2")
        assert asyncio.get_running_loop().time() - began < 1.5, "in turn it would be three seconds"
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert error is None or isinstance(error, AWAY)
