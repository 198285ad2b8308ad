"""Backups and restores as workers hold them: the table of their life, what frees those that nobody holds, and the regular ones."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis
from tortoise.expressions import F
from uuid_utils.compat import uuid7

import models
from models import BackupTrigger, DatabaseBackup, DatabaseRestore, DatabaseStatus, TaskStatus, background
from models.database import database as connection
from models.settings import settings
from tests.services.conftest import Api
from tests.services.place import backed_up, running
from workers import broker, reconcile
from workers.databases import wishes
from workers.databases.rescue import rescue
from workers.databases.schedule import make_due
from workers.databases.tasks import MOST_ATTEMPTS, TABLE, Change, Event, Kind, apply, sql
from workers.databases.upkeep import _VOID
from workers.publishing import Publishing
from workers.runtime import Runtime

ENDED = {TaskStatus.completed, TaskStatus.failed, TaskStatus.cancelled}
KINDS = pytest.mark.parametrize("kind", [DatabaseBackup, DatabaseRestore], ids=["backup", "restore"])
NIGHTLY = {"cron": "0 3 * * *", "time_zone": "Europe/Berlin", "keep_last": None, "keep_days": None, "storage": "local"}


@pytest.fixture
async def database(api: Api) -> models.Database:
    """One that runs, with nothing under way."""
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, "orders")


@pytest.fixture
async def runtime(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A worker that has no Docker; the queue is empty."""
    monkeypatch.setattr(settings(), "data", tmp_path)
    await quiet()
    queue().flushdb()
    return Runtime(cast("Any", None), cast("Any", None), publishing=Publishing.host, name="alpha")


def queue() -> "Redis":
    return Redis.from_url(broker.queue_url(settings().redis_url))


async def quiet() -> None:
    """Wait for the rings that are under way."""
    while background._under_way:
        await asyncio.gather(*background._under_way)


async def rung() -> list[tuple[str, str]]:
    """What waits in the queue of databases, as (actor, id)."""
    await quiet()
    bodies = cast("dict[bytes, bytes]", queue().hgetall(f"dramatiq:{broker.DATABASES}.msgs"))
    messages = [json.loads(body) for body in bodies.values()]
    return sorted((message["actor_name"], message["args"][0]) for message in messages)


async def made(kind: Kind, database: models.Database, **columns: Any) -> Any:
    """A backup or restore that waits, unless it is said to be otherwise."""
    if kind is DatabaseBackup:
        return await backed_up(database, **{"status": TaskStatus.pending, "finished_at": None, "started_at": None} | columns)
    owner = {"database_id": database.id, "project_id": database.project_id}
    return await DatabaseRestore.create(backup=await backed_up(database), **owner, **columns)


async def held(kind: Kind, database: models.Database, worker: str = "alpha") -> Any:
    """One that a worker holds."""
    row = await made(kind, database)
    assert await apply(Change(kind, Event.start, row.id, worker=worker))
    return await kind.get(id=row.id)


async def happens(row: Any, event: Event, worker: str = "alpha", epoch: int | None = None, **store: Any) -> bool:
    """Whether something happens to a task."""
    change = Change(type(row), event, row.id, row.epoch if epoch is None else epoch, worker, store)
    return await apply(change) is not None


async def settled(database: models.Database) -> None:
    """Have the wishes of a database granted, as a settler does."""
    await models.Database.filter(id=database.id).update(granted=F("wished"))


async def again(row: Any) -> Any:
    return await type(row).get(id=row.id)


async def past(row: Any, column: str, **ago: float) -> None:
    """Let a time of a task be a while ago."""
    await type(row).filter(id=row.id).update(**{column: datetime.now(UTC) - timedelta(**ago)})


def test_nothing_leaves_an_end() -> None:
    assert not [event for event, transition in TABLE.items() if transition.sources & ENDED]
    for target in ENDED:
        assert TaskStatus.running in {source for each in TABLE.values() if each.target is target for source in each.sources}


def test_what_a_holder_does_is_fenced_by_epoch_and_worker() -> None:
    for event in (Event.renew, Event.hand_back, Event.complete, Event.fail, Event.stop):
        assert "t.epoch = :epoch and t.worker = :worker" in TABLE[event].guard


@pytest.mark.parametrize("event", Event)
def test_a_statement_uses_every_parameter_it_is_given(event: Event) -> None:
    statement, parameters = sql(Change(DatabaseBackup, event, uuid7(), 1, "w", {"error_code": "X"}))
    assert all(f"${number}" in statement for number in range(1, len(parameters) + 1))
    assert not any(isinstance(each, datetime) for each in parameters), "times are the database's"


@KINDS
async def test_a_task_is_started_and_completed(database: models.Database, kind: Kind) -> None:
    row = await held(kind, database)
    assert (row.status, row.worker, row.epoch, row.attempt) == (TaskStatus.running, "alpha", 1, 1)
    assert row.lease_until > datetime.now(UTC)
    assert await happens(row, Event.complete)
    row = await again(row)
    assert (row.status, row.worker, row.lease_until) == (TaskStatus.completed, None, None)
    assert row.created_at <= row.started_at <= row.finished_at


@KINDS
@pytest.mark.parametrize("status", TaskStatus)
@pytest.mark.parametrize("event", Event)
async def test_an_event_does_nothing_outside_its_states(database: models.Database, kind: Kind, event: Event, status: TaskStatus) -> None:
    row = await made(kind, database, status=status, epoch=1, worker="alpha", attempt=1 if event is not Event.lose else MOST_ATTEMPTS)
    if event in (Event.stop, Event.force_stop):
        await past(row, "cancel_requested_at", seconds=1)
    if event is Event.expire:
        await past(row, "created_at", hours=25)
    transition = TABLE[event]
    assert await happens(row, event) is (status in transition.sources)
    assert (await again(row)).status is (transition.target if status in transition.sources else status)


@pytest.mark.parametrize("first", [DatabaseBackup, DatabaseRestore], ids=["backup first", "restore first"])
@pytest.mark.parametrize("second", [DatabaseBackup, DatabaseRestore], ids=["then backup", "then restore"])
async def test_one_at_a_time_in_the_order_of_asking(database: models.Database, first: Kind, second: Kind) -> None:
    one, two = await made(first, database), await made(second, database)
    assert not await happens(two, Event.start), "its turn has not come"
    assert await happens(one, Event.start)
    assert not await happens(two, Event.start), "one at a time"
    one = await again(one)
    assert await happens(one, Event.hand_back)
    assert not await happens(two, Event.start), "what was handed back keeps its turn"
    await settled(database)
    assert await happens(one, Event.start)
    assert await happens(await again(one), Event.fail)
    await settled(database)
    assert await happens(two, Event.start)


async def test_databases_do_not_wait_for_each_other(database: models.Database) -> None:
    other = await running(await models.Project.get(id=database.project_id), "sales")
    await held(DatabaseBackup, database)
    await held(DatabaseBackup, other)


async def test_two_workers_never_start_two_tasks_of_a_database(database: models.Database) -> None:
    rows = [await made(kind, database) for kind in (DatabaseBackup, DatabaseRestore) for _ in range(3)]
    changes = [Change(type(row), Event.start, row.id, worker=worker) for row in rows for worker in ("alpha", "beta")]
    started = [each for each in await asyncio.gather(*map(apply, changes)) if each is not None]
    assert len(started) == 1


@KINDS
async def test_nothing_begins_while_a_service_is_being_changed(database: models.Database, kind: Kind) -> None:
    row = await made(kind, database)
    for columns, expected in (
        ({"wished": database.wished + 1}, False),
        ({"wished": database.wished, "settle_until": datetime.now(UTC) + timedelta(seconds=30)}, False),
        ({"settle_until": datetime.now(UTC) - timedelta(seconds=1)}, True),
    ):
        await models.Database.filter(id=database.id).update(**columns)
        assert await happens(row, Event.start) is expected


@KINDS
@pytest.mark.parametrize("event", [Event.renew, Event.hand_back, Event.complete, Event.fail])
async def test_only_whoever_holds_it_says_how_it_goes(database: models.Database, kind: Kind, event: Event) -> None:
    row = await held(kind, database)
    assert not await happens(row, event, worker="beta")
    assert not await happens(row, event, epoch=row.epoch - 1)
    assert await happens(row, event)


@KINDS
async def test_a_worker_that_was_away_for_too_long_is_fenced_off(database: models.Database, kind: Kind) -> None:
    first = await held(kind, database)
    assert not await happens(first, Event.take_over), "its lease lasts"
    await past(first, "lease_until", seconds=1)
    assert not await happens(first, Event.take_over, epoch=first.epoch - 1)
    assert await happens(first, Event.take_over)
    await settled(database)
    assert await happens(await again(first), Event.start, worker="beta")
    second = await again(first)
    assert (second.epoch, second.attempt, second.worker) == (2, 2, "beta")
    for event in (Event.renew, Event.complete, Event.fail, Event.hand_back):
        assert not await happens(first, event)
    assert await happens(second, Event.complete, worker="beta")


@KINDS
async def test_a_task_is_taken_over_so_many_times_and_then_lost(database: models.Database, kind: Kind) -> None:
    row = await held(kind, database)
    for attempt in range(1, MOST_ATTEMPTS):
        await past(row, "lease_until", seconds=1)
        assert not await happens(row, Event.lose)
        assert await happens(row, Event.take_over)
        await settled(database)
        assert await happens(row, Event.start)
        row = await again(row)
        assert row.attempt == attempt + 1
    await past(row, "lease_until", seconds=1)
    assert not await happens(row, Event.take_over)
    assert await happens(row, Event.lose, error_code="WORKER_LOST")
    row = await again(row)
    assert (row.status, row.error_code, row.worker) == (TaskStatus.failed, "WORKER_LOST", None)


@KINDS
async def test_handing_back_is_no_attempt(database: models.Database, kind: Kind) -> None:
    row = await held(kind, database)
    for _ in range(MOST_ATTEMPTS + 1):
        assert await happens(row, Event.hand_back)
        await settled(database)
        assert await happens(await again(row), Event.start)
        row = await again(row)
    assert (row.attempt, row.epoch) == (1, MOST_ATTEMPTS + 2)


@KINDS
async def test_what_runs_is_stopped_by_its_worker_once_it_was_asked_for(database: models.Database, kind: Kind) -> None:
    row = await held(kind, database)
    assert not await happens(row, Event.stop)
    assert not await happens(row, Event.cancel)
    assert await happens(row, Event.ask_cancel)
    assert not await happens(row, Event.ask_cancel), "once is enough"
    assert not await happens(row, Event.stop, worker="beta")
    assert await happens(row, Event.stop)
    assert (await again(row)).status is TaskStatus.cancelled


async def test_a_database_follows_a_restore_to_its_end(database: models.Database) -> None:
    row = await held(DatabaseRestore, database)
    assert (await models.Database.get(id=database.id)).status is DatabaseStatus.restoring
    assert await happens(row, Event.complete)
    after = await models.Database.get(id=database.id)
    assert (after.status, after.wished) == (DatabaseStatus.running, database.wished + 1)


@pytest.mark.parametrize("event", [Event.fail, Event.stop, Event.force_stop, Event.lose])
async def test_a_database_has_its_data_back_when_a_restore_does_not_get_there(database: models.Database, event: Event) -> None:
    row = await held(DatabaseRestore, database)
    await DatabaseRestore.filter(id=row.id).update(volume=database.volume, attempt=MOST_ATTEMPTS)
    await models.Database.filter(id=database.id).update(volume="fresh")
    await past(row, "lease_until", seconds=1)
    if event in (Event.stop, Event.force_stop):
        await happens(row, Event.ask_cancel)
    assert await happens(row, event)
    after = await models.Database.get(id=database.id)
    assert (after.volume, after.wished) == (database.volume, database.wished + 1)


async def test_another_attempt_at_a_restore_begins_with_the_data_that_were_there(database: models.Database) -> None:
    row = await held(DatabaseRestore, database)
    await DatabaseRestore.filter(id=row.id).update(volume=database.volume)
    await models.Database.filter(id=database.id).update(volume="fresh")
    await past(row, "lease_until", seconds=1)
    assert await happens(row, Event.take_over)
    assert (await models.Database.get(id=database.id)).volume == database.volume
    assert not await happens(row, Event.start), "before its service is as it was"
    await settled(database)
    assert await happens(row, Event.start)


async def test_a_wish_is_rung_before_the_tasks_that_wait_for_it(api: Api, runtime: Runtime) -> None:
    row = await models.Database.get(id=(await api.database())["id"])
    backup = await wishes.back_up(row, name=None)
    assert await rung() == [("settle_database", str(row.id))] * 2
    await models.Database.filter(id=row.id).update(granted=row.wished)
    queue().flushdb()
    await rescue(runtime)
    await rescue(runtime)
    assert await rung() == [("back_up_database", str(backup.id))], "what is in the queue is not rung again"


async def test_only_the_task_whose_turn_it_is_is_rung(database: models.Database, runtime: Runtime) -> None:
    restore = await wishes.restore(database, await backed_up(database), safely=True)
    await wishes.back_up(database, name=None)
    queue().flushdb()
    await rescue(runtime)
    assert await rung() == [("back_up_database", str(restore.safety_backup_id))]
    await DatabaseBackup.filter(id=restore.safety_backup_id).update(status=TaskStatus.completed)
    queue().flushdb()
    await rescue(runtime)
    assert await rung() == [("restore_database", str(restore.id))]


async def test_a_wish_that_nobody_has_granted_is_rung_again(database: models.Database, runtime: Runtime) -> None:
    await wishes.restart(database)
    await quiet()
    queue().flushdb()
    await rescue(runtime)
    assert await rung() == [("settle_database", str(database.id))]


@KINDS
async def test_a_lost_task_is_begun_anew_and_in_the_end_given_up(database: models.Database, runtime: Runtime, kind: Kind) -> None:
    row = await held(kind, database, worker="gone")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert row.attempt == attempt
        await rescue(runtime)
        assert (await again(row)).status is TaskStatus.running, "its lease lasts"
        await past(row, "lease_until", seconds=1)
        queue().flushdb()
        await rescue(runtime)
        if attempt < MOST_ATTEMPTS:
            assert (await rung())[0][1] == str(row.id if kind is DatabaseBackup else database.id), "a restore's service is looked at first"
            await settled(database)
            assert await happens(await again(row), Event.start, worker="gone")
        row = await again(row)
    assert (row.status, row.error_code) == (TaskStatus.failed, "WORKER_LOST")
    assert str(MOST_ATTEMPTS) in row.error_message


@KINDS
async def test_a_cancellation_that_nobody_hears_is_carried_out(database: models.Database, runtime: Runtime, kind: Kind) -> None:
    row = await held(kind, database, worker="gone")
    await happens(row, Event.ask_cancel)
    await rescue(runtime)
    assert (await again(row)).status is TaskStatus.running
    await past(row, "cancel_requested_at", seconds=5)
    await past(row, "lease_until", seconds=-20)
    await rescue(runtime)
    assert (await again(row)).status is TaskStatus.cancelled


@KINDS
async def test_a_worker_that_is_heard_may_take_its_time_to_take_back(database: models.Database, runtime: Runtime, kind: Kind) -> None:
    row = await held(kind, database)
    await happens(row, Event.ask_cancel)
    await past(row, "cancel_requested_at", seconds=20)
    await rescue(runtime)
    assert (await again(row)).status is TaskStatus.running
    await past(row, "cancel_requested_at", seconds=60)
    await rescue(runtime)
    assert (await again(row)).status is TaskStatus.cancelled


@KINDS
async def test_what_has_waited_for_a_day_is_given_up(database: models.Database, runtime: Runtime, kind: Kind) -> None:
    row, younger = await made(kind, database), await made(kind, database)
    await past(row, "created_at", hours=25)
    await past(younger, "created_at", hours=23)
    await rescue(runtime)
    row = await again(row)
    assert (row.status, row.error_code) == (TaskStatus.failed, "TIMED_OUT")
    assert (await again(younger)).status is TaskStatus.pending


async def planned(database: models.Database, due: datetime, **schedule: Any) -> None:
    await models.Database.filter(id=database.id).update(schedule=NIGHTLY | schedule, next_backup_at=due)


async def test_a_backup_that_is_due_is_asked_for_once(database: models.Database, runtime: Runtime) -> None:
    await planned(database, datetime.now(UTC) - timedelta(seconds=1), storage="s3")
    await asyncio.gather(make_due(runtime), make_due(runtime))
    (row,) = await DatabaseBackup.filter(database_id=database.id)
    assert (row.trigger, row.status, row.storage.value) == (BackupTrigger.schedule, TaskStatus.pending, "s3")
    assert await rung() == [("back_up_database", str(row.id))]
    due = (await models.Database.get(id=database.id)).next_backup_at
    assert due is not None
    assert datetime.now(UTC) < due <= datetime.now(UTC) + timedelta(days=1, hours=1)
    assert due.hour in (1, 2), "three o'clock in Berlin"


async def test_one_backup_makes_up_for_all_that_were_missed(database: models.Database, runtime: Runtime) -> None:
    await planned(database, datetime.now(UTC) - timedelta(days=9), cron="*/30 * * * *")
    for _ in range(3):
        await make_due(runtime)
    assert await DatabaseBackup.all().count() == 1


async def test_what_is_not_due_is_not_made(database: models.Database, runtime: Runtime) -> None:
    other = await running(await models.Project.get(id=database.project_id), "sales")
    await planned(database, datetime.now(UTC) + timedelta(minutes=1))
    await planned(other, datetime.now(UTC) - timedelta(minutes=1))
    await wishes.remove(other, delete_volumes=False, delete_backups=False)
    await make_due(runtime)
    assert not await DatabaseBackup.exists()


async def test_a_stopped_database_misses_its_backup_and_has_the_next_one(database: models.Database, runtime: Runtime) -> None:
    await planned(database, datetime.now(UTC) - timedelta(minutes=1))
    await models.Database.filter(id=database.id).update(stopped=True)
    await make_due(runtime)
    assert not await DatabaseBackup.exists()
    due = (await models.Database.get(id=database.id)).next_backup_at
    assert due is not None
    assert due > datetime.now(UTC)


async def test_a_schedule_that_cannot_be_read_keeps_no_other_waiting(database: models.Database, runtime: Runtime) -> None:
    other = await running(await models.Project.get(id=database.project_id), "sales")
    await planned(database, datetime.now(UTC) - timedelta(minutes=2), time_zone="Middle/Earth")
    await planned(other, datetime.now(UTC) - timedelta(minutes=1))
    await make_due(runtime)
    (row,) = await DatabaseBackup.all()
    assert row.database_id == other.id


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ({}, ["d0", "d1", "d5", "d10", "d20"]),
        ({"keep_last": 2}, ["d0", "d1"]),
        ({"keep_days": 6}, ["d0", "d1", "d5"]),
        ({"keep_last": 4, "keep_days": 6}, ["d0", "d1", "d5", "d10"]),
        ({"keep_last": 1, "keep_days": 6}, ["d0", "d1", "d5"]),
        ({"keep_last": 0}, ["d0"]),
    ],
)
async def test_scheduled_backups_are_kept_by_number_and_age(
    database: models.Database, runtime: Runtime, kept: dict[str, int], left: list[str]
) -> None:
    for days in (20, 10, 5, 1, 0):
        row = await backed_up(database, name=f"d{days}", trigger=BackupTrigger.schedule)
        await past(row, "created_at", days=days)
    await planned(database, datetime.now(UTC) + timedelta(hours=1), **kept)
    await make_due(runtime)
    rows = await DatabaseBackup.filter(deleted_at__isnull=True).order_by("-created_at")
    assert [row.name for row in rows] == left


async def test_what_nobody_planned_and_what_is_not_whole_is_not_forgotten(database: models.Database, runtime: Runtime) -> None:
    for trigger in (BackupTrigger.manual, BackupTrigger.safety, BackupTrigger.upload):
        await past(await backed_up(database, trigger=trigger), "created_at", days=99)
    whole = await backed_up(database, trigger=BackupTrigger.schedule)
    for status in (TaskStatus.failed, TaskStatus.running):
        await backed_up(database, trigger=BackupTrigger.schedule, status=status)
    await past(whole, "created_at", days=99)
    await planned(database, datetime.now(UTC) + timedelta(hours=1), keep_last=1, keep_days=1)
    await make_due(runtime)
    assert not await DatabaseBackup.filter(deleted_at__isnull=False).exists()


async def void() -> set[str]:
    """The names of the backups whose data are to be removed."""
    ids = [row["id"] for row in await connection().execute_query_dict(_VOID)]
    return {row.name for row in await DatabaseBackup.filter(id__in=ids)}


async def test_the_data_of_what_does_not_count_are_removed(database: models.Database) -> None:
    for status in TaskStatus:
        await backed_up(database, name=status.value, status=status, object_name="x")
    await wishes.forget(await backed_up(database, name="deleted", object_name="x"))
    busy = await backed_up(database, name="busy", object_name="x")
    await DatabaseRestore.create(database_id=database.id, project_id=database.project_id, backup=busy)
    await wishes.forget(busy)
    await wishes.forget(await backed_up(database, name="nothing there"))
    assert await void() == {"failed", "cancelled", "deleted"}


@pytest.mark.parametrize("along", [False, True])
async def test_the_backups_of_a_deleted_database_are_left_to_its_removal(database: models.Database, along: bool) -> None:
    await wishes.forget(await backed_up(database, name="before", object_name="x"))
    await backed_up(database, name="whole", object_name="x")
    await wishes.remove(database, delete_volumes=False, delete_backups=along)
    assert await void() == {"before"}


async def test_a_project_is_kept_for_as_long_as_its_databases_are(database: models.Database, runtime: Runtime) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=99)
    await models.Database.filter(id=database.id).update(deleted_at=long_ago)
    await models.Project.filter(id=database.project_id).update(deleted_at=long_ago)
    await reconcile._clear_away(runtime)
    assert await models.Project.filter(id=database.project_id).exists()
    await models.Database.filter(id=database.id).delete()
    await reconcile._clear_away(runtime)
    assert not await models.Project.filter(id=database.project_id).exists()
