"""One transaction around several: what belongs together is stored together, and what waits for it is done afterwards."""

import asyncio
import contextlib
import contextvars

import pytest
from tortoise.transactions import in_transaction

import models
from models.database import after_commit, connection, fetch, is_together, together
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from workers import broker

COUNT = "select count(*) from team"


async def teams_seen_by_others() -> int:
    """How many teams whoever is outside the transaction sees."""
    rows = await asyncio.create_task(fetch(COUNT), context=contextvars.Context())
    return int(rows[0][0])


async def test_what_waits_is_done_after_the_commit(api: Api) -> None:
    done: list[int] = []
    async with together():
        await models.Team.create(name="One")
        async with together():
            await models.Team.create(name="Two")
            after_commit(lambda: done.append(1))
        assert done == []
        assert await teams_seen_by_others() == 0
    assert done == [1]
    assert await teams_seen_by_others() == 2


async def test_what_waits_for_something_that_failed_is_not_done(api: Api) -> None:
    done: list[int] = []
    with contextlib.suppress(RuntimeError):
        async with together():
            await models.Team.create(name="One")
            after_commit(lambda: done.append(1))
            raise RuntimeError
    assert done == []
    assert await models.Team.all().count() == 0


async def test_what_waits_for_a_part_that_failed_is_not_done(api: Api) -> None:
    done: list[int] = []
    async with together():
        after_commit(lambda: done.append(1))
        with contextlib.suppress(RuntimeError):
            async with together():
                after_commit(lambda: done.append(2))
                raise RuntimeError
    assert done == [1]


async def test_without_a_transaction_nothing_waits(api: Api) -> None:
    done: list[int] = []
    after_commit(lambda: done.append(1))
    assert done == [1]


async def test_what_failed_inside_leaves_the_rest(api: Api) -> None:
    async with together():
        await models.Team.create(name="One")
        with contextlib.suppress(RuntimeError):
            async with in_transaction():
                await models.Team.create(name="Two")
                raise RuntimeError
        await models.Team.create(name="Three")
    assert await models.Team.all().order_by("created_at").values_list("name", flat=True) == ["One", "Three"]


async def test_reads_inside_see_what_was_written(api: Api) -> None:
    async with together():
        await models.Team.create(name="One")
        async with connection() as lent:
            assert await lent.fetchval(COUNT) == 1
        assert [row[0] for row in await fetch(COUNT)] == [1]


@pytest.mark.parametrize("over", ["rest", "graphql"])
async def test_a_worker_is_rung_for_a_deployment_that_is_there(api: Api, over: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(broker, "ring", lambda chain, id: loop.call_soon_threadsafe(rung.put_nowait, id))
    application = await api.application()
    monkeypatch.setattr("schema.perform._enter", slow_entry)
    asked = asyncio.create_task(ask(over, api.owner, "applications.deploy", application["id"], {}))
    id = await asyncio.wait_for(rung.get(), 5)
    rows = await asyncio.create_task(fetch("select status from deployment where id = $1", id), context=contextvars.Context())
    assert [row[0] for row in rows] == ["pending"]
    assert (await asked).code is None


async def slow_entry(*_: object, **__: object) -> None:
    """An entry in the audit trail that takes its time."""
    await asyncio.sleep(0.2)


async def test_followers_are_woken_after_the_commit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    application = await api.application()
    await api.owner.made(f"/applications/{application['id']}/deploy", {})
    inside: list[bool] = []

    async def woken(_: object) -> None:
        inside.append(is_together())

    monkeypatch.setattr("models.bell.wake", woken)
    assert (await api.owner.delete(f"/applications/{application['id']}")).status_code == 204
    await asyncio.sleep(0)
    assert inside == [False]
