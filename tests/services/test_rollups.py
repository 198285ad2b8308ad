"""Roll-ups: coarser values of what was measured, made again and again by any monitor, and the end of what is old."""

import asyncio
import itertools
from datetime import timedelta

import pytest

import models
from models import metrics, rollups
from models.database import database, own_connection
from tests.services.conftest import Api
from tests.services.measured import DAY, MIB, NOON, requests, sample, second, stored, unmeasured
from tests.services.place import running

_numbers = itertools.count(1)


@pytest.fixture
async def shop(api: Api) -> models.Application:
    """An application; nothing else was ever measured."""
    return await unmeasured(api)


@pytest.fixture
async def store(api: Api) -> models.Database:
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, f"measured-{next(_numbers)}")


async def test_a_container_that_moved_from_one_host_to_another_is_not_counted_twice(shop: models.Application) -> None:
    for number in range(6):
        await sample(shop.id, NOON + second(number * 10), 0.5, 10, 100, "one" if number < 3 else "two")
    await rollups.roll_up(NOON + second(60))
    assert await stored(shop.id, 60) == {0: (0.5, 10 * MIB, 600, 6, None, None)}


async def test_minutes_and_quarters_are_made_of_what_is_finer(shop: models.Application) -> None:
    for number in range(6 * 20):
        await sample(shop.id, NOON + second(number * 10), 0.5 if number < 90 else 1.0, 10)
    await requests(shop, NOON + second(75), 6, 1)
    await requests(shop, NOON + second(800), 3)
    now = NOON + second(1200)
    assert await rollups.roll_up(now)
    minutes = await stored(shop.id, 60)
    assert list(minutes) == list(range(0, 1200, 60))
    assert minutes[60] == (0.5, 10 * MIB, 600, 6, 6, 1)
    assert minutes[900] == (1.0, 10 * MIB, 600, 6, None, None)
    assert await stored(shop.id, 900) == {0: (0.5, 10 * MIB, 9000, 90, 9, 1), 900: (1.0, 10 * MIB, 3000, 30, None, None)}


async def test_rolling_up_again_changes_nothing(shop: models.Application) -> None:
    for number in range(30):
        await sample(shop.id, NOON + second(number * 10), number / 10)
    await requests(shop, NOON + second(100), 6, 1)
    now = NOON + second(300)
    await rollups.roll_up(now)
    before = [await stored(shop.id, level.seconds) for level in metrics.LEVELS]
    await rollups.roll_up(now)
    assert [await stored(shop.id, level.seconds) for level in metrics.LEVELS] == before


async def test_the_value_under_way_grows_and_what_comes_late_is_in_it(shop: models.Application) -> None:
    await sample(shop.id, NOON, 0.2)
    await rollups.roll_up(NOON + second(15))
    assert (await stored(shop.id, 900))[0][0] == pytest.approx(0.2)
    await sample(shop.id, NOON + second(60), 0.6)
    await sample(shop.id, NOON + second(10), 0.4)
    await requests(shop, NOON + second(60), 8)
    await rollups.roll_up(NOON + second(75))
    minutes = await stored(shop.id, 60)
    assert (minutes[0][0], minutes[60][0], minutes[0][4]) == (pytest.approx(0.3), pytest.approx(0.6), 8)
    assert (await stored(shop.id, 900))[0][0] == pytest.approx(0.45)


async def test_what_was_measured_before_a_long_silence_is_rolled_up_after_it(shop: models.Application) -> None:
    for number in range(12):
        await sample(shop.id, NOON + second(number * 10))
    await rollups.roll_up(NOON + second(30))
    await sample(shop.id, NOON + DAY)
    await rollups.roll_up(NOON + DAY + second(60))
    day = int(DAY.total_seconds())
    assert list(await stored(shop.id, 10)) == [day], "they are kept for six hours"
    assert {at: each[2] for at, each in (await stored(shop.id, 60)).items()} == {0: 600, 60: 600, day: 100}
    assert {at: each[2] for at, each in (await stored(shop.id, 900)).items()} == {0: 1200, day: 100}


async def test_what_is_made_anew_is_not_made_of_remains(shop: models.Application) -> None:
    """The last values are made again and again while nothing comes, also when a part of what they are made of is old."""
    for number in range(12):
        await sample(shop.id, NOON + second(number * 10))
    for minutes in (3, 361, 362, 363, 1000):
        await rollups.roll_up(NOON + timedelta(minutes=minutes))
        assert {at: each[2] for at, each in (await stored(shop.id, 60)).items()} == {0: 600, 60: 600}, minutes


async def test_each_is_kept_for_its_time(shop: models.Application) -> None:
    ages = (timedelta(hours=5), timedelta(hours=7), timedelta(days=2), timedelta(days=4), timedelta(days=29), timedelta(days=31))
    for level in metrics.LEVELS:
        for age in ages:
            await database().execute_query(
                "insert into metric (subject_id, resolution, at) values ($1, $2, $3)", [shop.id, level.seconds, NOON - age]
            )
    await database().execute_query("delete from metric where resolution = 10 and at < $1", [NOON - timedelta(hours=8)])
    await rollups.roll_up(NOON)
    kept = {level.seconds: {NOON + second(at) for at in await stored(shop.id, level.seconds)} for level in metrics.LEVELS}
    assert kept[10] == {NOON - age for age in ages[:1]}
    assert {NOON - age for age in ages[:3]} <= kept[60] and not {NOON - age for age in ages[3:]} & kept[60]
    assert {NOON - age for age in ages[:5]} <= kept[900] and NOON - ages[5] not in kept[900]


async def test_much_that_is_old_is_deleted_a_part_at_a_time(shop: models.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "BATCH", 4)
    for number in range(10):
        await sample(shop.id, NOON + second(number * 10))
    await sample(shop.id, NOON + DAY)
    left = []
    for _ in range(4):
        await rollups.roll_up(NOON + DAY)
        left.append(len(await stored(shop.id, 10)))
    assert left == [7, 3, 1, 1]
    assert [each[2] for each in (await stored(shop.id, 60)).values()] == [600, 400, 100], "what was rolled up stays as it was"


async def test_monitors_that_roll_up_at_once_are_in_nobodys_way(shop: models.Application) -> None:
    for number in range(60):
        await sample(shop.id, NOON + second(number * 10))
    done = await asyncio.gather(*(rollups.roll_up(NOON + second(600)) for _ in range(8)))
    assert any(done)
    assert [each[2] for each in (await stored(shop.id, 60)).values()] == [600] * 10


async def test_while_one_rolls_up_the_others_go_on(shop: models.Application) -> None:
    await sample(shop.id, NOON)
    async with own_connection() as another:
        await another.execute("select pg_advisory_lock($1)", rollups.LOCK)
        assert not await rollups.roll_up(NOON + second(60))
        assert await stored(shop.id, 60) == {}
    assert await rollups.roll_up(NOON + second(60))
    assert list(await stored(shop.id, 60)) == [0]


async def test_what_is_deleted_loses_its_values(shop: models.Application, store: models.Database) -> None:
    for subject in (shop.id, store.id):
        await sample(subject, NOON)
    await rollups.roll_up(NOON + second(60))
    await models.Database.filter(id=store.id).update(deleted_at=NOON)
    await rollups.roll_up(NOON + second(120))
    for level in metrics.LEVELS:
        assert await stored(store.id, level.seconds) == {}
        assert await stored(shop.id, level.seconds) != {}
