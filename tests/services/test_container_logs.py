"""What containers print: stored in numbered chunks, bounded, filtered, and read on where it was left."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

import models
from models import LogLevel, container_logs
from models.container_logs import Printed, Wanted
from models.database import database
from models.settings import settings
from tests.services.conftest import Api
from tests.services.place import running
from tests.workers.monitor.test_containers import container
from tests.workers.monitor.test_log_frames import STDERR, frame, printed_since
from workers.engine import EngineUnavailable
from workers.monitor.followers import Followers
from workers.monitor.log_frames import Position
from workers.monitor.log_writer import LogWriter

BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture
async def store(api: Api) -> models.Database:
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, f"logs-{next(_numbers)}")


def at(second: float) -> str:
    return (BEGAN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def lines(*texts: str, begin: int = 0, level: LogLevel = LogLevel.info) -> list[Printed]:
    return [Printed(at(begin + n), level, 1, text) for n, text in enumerate(texts)]


async def texts(subject: UUID, count: int = 100, **wanted: Any) -> list[str]:
    return [each.message for each in await container_logs.last(subject, count, Wanted(**wanted))]


async def test_the_last_lines_are_shown_in_their_order(api: Api, store: models.Database) -> None:
    await container_logs.store(store.id, lines("one", "two"), 0, {"c": at(1)})
    await container_logs.store(store.id, lines("three", begin=2, level=LogLevel.error), 0, {"c": at(2)})
    found = (await api.owner.get(f"/databases/{store.id}/logs?tail=2")).json()
    about = {"container": f"{store.service_name}-1", "replica": 1, "lost": 0}
    assert found["logs"] == [
        {"seq": 2, "timestamp": "2026-11-28T12:00:01Z", "level": "info", "message": "two"} | about,
        {"seq": 3, "timestamp": "2026-11-28T12:00:02Z", "level": "error", "message": "three"} | about,
    ]
    assert found["lastSeq"] == 3


async def test_graphql_shows_the_same(api: Api, store: models.Database) -> None:
    await container_logs.store(store.id, lines("one", "two"), 0, {"c": at(1)})
    query = 'query($id: ID!) { databaseLogs(id: $id, tail: 1, level: info, search: "W") { logs { seq message } lastSeq } }'
    answer = await api.owner.graphql(query, id=str(store.id))
    assert answer == {"data": {"databaseLogs": {"logs": [{"seq": 2, "message": "two"}], "lastSeq": 2}}}


async def test_nothing_printed_is_an_empty_log(api: Api, store: models.Database) -> None:
    found = (await api.owner.get(f"/databases/{store.id}/logs")).json()
    assert (found["logs"], found["lastSeq"]) == ([], 0)


async def test_lines_are_found_by_time_level_and_words(store: models.Database) -> None:
    await container_logs.store(store.id, lines("Alpha", "100% beta"), 0, {"c": at(1)})
    await container_logs.store(store.id, lines("alpha_2", begin=10, level=LogLevel.warning), 0, {"c": at(10)})
    await container_logs.store(store.id, lines("noise", begin=20, level=LogLevel.debug), 0, {"c": at(20)})
    assert await texts(store.id, since=BEGAN + timedelta(seconds=1)) == ["100% beta", "alpha_2", "noise"]
    assert await texts(store.id, level=LogLevel.info) == ["Alpha", "100% beta", "alpha_2"]
    assert await texts(store.id, level=LogLevel.warning) == ["alpha_2"]
    assert await texts(store.id, search="ALPHA") == ["Alpha", "alpha_2"]
    assert await texts(store.id, search="%") == ["100% beta"], "a word is no pattern"
    assert await texts(store.id, search="a", count=1) == ["alpha_2"]


@pytest.mark.parametrize(
    ("query", "field"), [("tail=-1", "tail"), ("tail=1001", "tail"), ("since=yesterday", "since"), ("level=loud", "level"), ("a=1", "a")]
)
async def test_what_cannot_be_asked_for_is_said(api: Api, store: models.Database, query: str, field: str) -> None:
    answer = await api.owner.get(f"/databases/{store.id}/logs?{query}")
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]["errors"]] == [field]


async def test_a_rare_line_is_found_behind_many_chunks(store: models.Database) -> None:
    await container_logs.store(store.id, lines("needle"), 0, {})
    for n in range(200):
        await container_logs.store(store.id, lines(f"hay {n}", begin=n), 0, {})
    assert await texts(store.id, search="needle") == ["needle"]
    assert await texts(store.id, count=3) == ["hay 197", "hay 198", "hay 199"]
    assert len(await texts(store.id, count=1000)) == 201


async def test_what_was_lost_leaves_its_numbers_out(store: models.Database) -> None:
    await container_logs.store(store.id, lines("one"), 0, {"c": at(0)})
    await container_logs.store(store.id, lines("nine", begin=1), 7, {"c": at(1)})
    assert [each.seq for each in await container_logs.last(store.id, 10, Wanted())] == [1, 9]


async def test_the_oldest_is_thrown_away_when_there_is_more_than_is_kept(store: models.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "log_retention", 1)
    for n in range(30):
        await container_logs.store(store.id, lines(*["x" * 1000] * 100, begin=n * 100), 0, {"c": at(n)})
    kept = await database().execute_query_dict("select bytes, last_seq from log_chunk where subject_id = $1 order by 2", [store.id])
    size = sum(each["bytes"] for each in kept)
    assert kept[-1]["last_seq"] == 3000
    assert 0.8 * container_logs.MIB < size <= container_logs.SLACK * container_logs.MIB
    told = await database().execute_query_dict("select bytes, last_seq from log_stream where subject_id = $1", [store.id])
    assert told == [{"bytes": size, "last_seq": 3000}]


async def test_two_hosts_number_one_log(store: models.Database) -> None:
    many = [container_logs.store(store.id, lines(f"{n}"), 0, {f"c{n}": at(0)}) for n in range(20)]
    assert all(await asyncio.gather(*many))
    assert [each.seq for each in await container_logs.last(store.id, 100, Wanted())] == list(range(1, 21))


async def test_the_log_goes_with_whom_it_is_of(store: models.Database) -> None:
    await container_logs.store(store.id, lines("one"), 0, {"c": at(0)})
    assert not await container_logs.store(uuid4(), lines("nobody's"), 0, {"d": at(0)})
    await models.Database.filter(id=store.id).update(deleted_at=BEGAN)
    assert not await container_logs.store(store.id, lines("late"), 0, {"c": at(1)})
    await container_logs.sweep()
    for table in ("log_stream", "log_chunk", "log_position"):
        assert await database().execute_query_dict(f"select 1 from {table} where subject_id = $1", [store.id]) == [], table


@dataclass
class Printing:
    """An Engine with containers that print what they are told to."""

    label: str = "dokploy.database"
    present: dict[str, str] = field(default_factory=dict)
    """By container, whose it is."""
    printed: dict[str, list[bytes]] = field(default_factory=dict)
    since: list[str] = field(default_factory=list)
    away: bool = False
    state: str = "running"
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def containers(self, label: str) -> list[dict[str, Any]]:
        return [container(id, subject, self.state) for id, subject in self.present.items()] if label == self.label else []

    async def follow_log(self, container_id: str, since: str) -> AsyncGenerator[bytes]:
        self.since.append(since)
        for piece in self.printed[container_id]:
            yield printed_since(since, piece)
            if self.away:
                self.away = False
                raise EngineUnavailable("gone")
        await self.ended.wait()


@pytest.fixture
async def engine() -> AsyncIterator[Printing]:
    yield Printing()


@pytest.fixture
async def followers(engine: Printing, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Followers]:
    monkeypatch.setattr("workers.monitor.followers.LOOK", 0.02)
    writer = LogWriter()
    followers = Followers(engine, writer)
    writing = asyncio.create_task(writer.run())
    yield followers
    await followers.close()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def seen(subject: UUID, count: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(found := await texts(subject, 1000)) < count:
            await asyncio.sleep(0.02)
    return found


async def test_a_container_is_followed_from_its_first_line(engine: Printing, followers: Followers, store: models.Database) -> None:
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"one\n", at(0)), frame(b"ERROR two\n", at(1))]
    await followers.look()
    assert await seen(store.id, 2) == ["one", "ERROR two"]
    assert await texts(store.id, level=LogLevel.error) == ["ERROR two"]
    await followers.look()
    assert engine.since == [""], "one follower, however often one looks"


async def test_where_the_engine_went_away_it_is_read_on(engine: Printing, followers: Followers, store: models.Database) -> None:
    engine.present["c1"], engine.printed["c1"], engine.away = str(store.id), [frame(b"one\n", at(0)), frame(b"two\n", at(1))], True
    await followers.look()
    assert await seen(store.id, 2) == ["one", "two"], "nothing twice, nothing left out"


async def test_another_monitor_reads_on_where_the_last_one_was(engine: Printing, followers: Followers, store: models.Database) -> None:
    await container_logs.store(store.id, lines("one"), 0, {"c1": at(0)})
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"one\n", at(0)), frame(b"two\n", at(1))]
    await followers.look()
    assert await seen(store.id, 2) == ["one", "two"]
    assert engine.since == [at(0)]


async def test_a_container_that_has_ended_is_not_read_again_and_forgotten_once_it_is_gone(
    engine: Printing, followers: Followers, store: models.Database
) -> None:
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"unfinished", at(0))]
    engine.ended.set()
    engine.state = "exited"
    await followers.look()
    assert await seen(store.id, 1) == ["unfinished"]
    await followers.look()
    assert engine.since == [""]
    assert await container_logs.read_to("c1") == str(Position(at(0), at(0)))
    engine.present.clear()
    await followers.look()
    assert await container_logs.read_to("c1") is None
    assert await texts(store.id) == ["unfinished"], "its log stays"


async def test_what_is_printed_too_fast_is_lost_and_counted(
    engine: Printing, followers: Followers, store: models.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.monitor.followers.MOST_LINES", 2)
    pieces = [b"".join(frame(b"%d\n" % n, at(n // 7)) for n in part) for part in (range(5), range(5, 7), range(7, 8))]
    engine.present["c1"], engine.printed["c1"] = str(store.id), pieces
    await followers.look()
    assert await seen(store.id, 3) == ["0", "1", "7"]
    assert [each.seq for each in await container_logs.last(store.id, 10, Wanted())] == [1, 2, 8]


async def test_replicas_are_put_in_the_order_of_their_times(store: models.Database) -> None:
    writer = LogWriter()
    await writer.put(store.id, "a", [Printed(at(0), LogLevel.info, 1, "0"), Printed(at(2), LogLevel.info, 1, "2")], "2")
    await writer.put(store.id, "b", [Printed(at(1), LogLevel.info, 2, "1"), Printed(at(3), LogLevel.info, 2, "3")], "3")
    await writer.flush()
    assert await texts(store.id) == ["0", "1", "2", "3"]
    assert [await container_logs.read_to(each) for each in "ab"] == ["2", "3"]


async def test_a_database_that_is_away_is_waited_for_and_its_containers_are_not_read_on(
    store: models.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.monitor.log_writer.MOST_WAITING", 10)
    writer = LogWriter()
    putting = asyncio.create_task(writer.put(store.id, "a", lines(*map(str, range(11))), at(11)))
    await asyncio.sleep(0.05)
    assert not putting.done()
    await writer.flush()
    await asyncio.wait_for(putting, 5)
    assert len(await texts(store.id)) == 11


async def test_a_container_whose_log_ended_while_it_runs_is_followed_again(
    engine: Printing, followers: Followers, store: models.Database
) -> None:
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"one\n", at(0))]
    engine.ended.set()
    await followers.look()
    assert await seen(store.id, 1) == ["one"]
    engine.printed["c1"] += [frame(b"two\n", at(1))]
    await followers.look()
    assert await seen(store.id, 2) == ["one", "two"]


async def test_following_again_begins_where_it_was_read_to_and_not_where_it_was_stored(engine: Printing, store: models.Database) -> None:
    writer = LogWriter()
    followers = Followers(engine, writer)
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"one\n", at(0))]
    engine.ended.set()
    for _ in range(2):
        await followers.look()
        await asyncio.gather(*followers._tasks.values())
    await writer.flush()
    assert await texts(store.id) == ["one"]
    assert engine.since == ["", at(0)]


async def restarted(engine: Printing, store: models.Database, *, sooner: bool = False) -> list[str]:
    """What is stored once a monitor that begins now has read what was printed so far, and ended; `sooner` stores nothing of it."""
    writer = LogWriter()
    followers = Followers(engine, writer)
    await followers.look()
    await asyncio.sleep(0.1)
    await followers.close()
    if not sooner:
        await writer.flush()
    return await texts(store.id)


async def test_a_line_that_has_no_end_when_the_monitor_ends_is_read_from_its_beginning_by_the_next_one(
    engine: Printing, store: models.Database
) -> None:
    engine.present["c1"] = str(store.id)
    printed = engine.printed["c1"] = [frame(b"zero\n", at(0)), frame(b"a", at(1)), frame(b"other\n", at(2), STDERR)]
    assert await restarted(engine, store) == ["zero", "other"]
    printed += [frame(b"b", at(1)), frame(b"another\n", at(3), STDERR)]
    assert await restarted(engine, store, sooner=True) == ["zero", "other"]
    assert await restarted(engine, store) == ["zero", "other", "another"]
    printed += [frame(b"c\n", at(1)), frame(b"last\n", at(4))]
    assert await restarted(engine, store) == ["zero", "other", "another", "abc", "last"]
    assert await restarted(engine, store) == ["zero", "other", "another", "abc", "last"], "nothing twice"
    assert engine.since == ["", at(1), at(1), at(1), at(4)]


async def test_a_line_that_has_no_end_when_the_engine_goes_away_is_read_from_its_beginning(
    engine: Printing, followers: Followers, store: models.Database
) -> None:
    cut = frame(b"a", at(0)) + frame(b"other\n", at(1), STDERR)
    engine.present["c1"], engine.printed["c1"], engine.away = str(store.id), [cut, frame(b"b\n", at(0)), frame(b"two\n", at(2))], True
    await followers.look()
    assert sorted(await seen(store.id, 3)) == ["ab", "other", "two"]


async def test_a_line_that_has_no_end_when_the_log_ends_has_one_if_the_container_prints_on(
    engine: Printing, followers: Followers, store: models.Database
) -> None:
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"one\n", at(0)), frame(b"a", at(1))]
    engine.ended.set()
    await followers.look()
    assert await seen(store.id, 1) == ["one"]
    engine.printed["c1"] += [frame(b"b\n", at(1))]
    await followers.look()
    assert await seen(store.id, 2) == ["one", "ab"]


async def test_a_line_that_has_no_end_when_its_container_is_removed_is_stored_as_it_is(
    engine: Printing, followers: Followers, store: models.Database
) -> None:
    engine.present["c1"], engine.printed["c1"] = str(store.id), [frame(b"one\n", at(0)), frame(b"unfinished", at(1))]
    engine.ended.set()
    await followers.look()
    assert await seen(store.id, 1) == ["one"]
    engine.present.clear()
    await followers.look()
    assert await seen(store.id, 2) == ["one", "unfinished"]
    await followers.look()
    assert engine.since == [""]
    assert await container_logs.read_to("c1") is None


@pytest.mark.parametrize("given", [False, True])
async def test_the_last_line_of_a_container_is_read_whether_or_not_its_followers_were_given_it(
    engine: Printing, followers: Followers, store: models.Database, given: bool
) -> None:
    one, unfinished = frame(b"one\n", at(0)), frame(b"unfinished", at(1))
    engine.present["c1"], engine.printed["c1"] = str(store.id), [one, unfinished] if given else [one]
    engine.ended.set()
    await followers.look()
    assert await seen(store.id, 1) == ["one"]
    engine.state, engine.printed["c1"] = "exited", [one, unfinished]
    await followers.look()
    assert await seen(store.id, 2) == ["one", "unfinished"]
    await followers.look()
    assert engine.since == ["", at(0)], "once more, and never again"


async def test_what_a_container_printed_last_and_too_much_of_is_said_to_be_lost(
    engine: Printing, followers: Followers, store: models.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.monitor.followers.MOST_LINES", 2)
    engine.present["c1"], engine.printed["c1"] = str(store.id), [b"".join(frame(b"%d\n" % n, at(n / 10)) for n in range(9))]
    engine.ended.set()
    engine.state = "exited"
    await followers.look()
    assert len(await seen(store.id, 3)) == 3
    assert [each.seq for each in await container_logs.last(store.id, 10, Wanted())] == [1, 2, 10]


async def test_a_backlog_is_no_burst(
    engine: Printing, followers: Followers, store: models.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.monitor.followers.MOST_LINES", 2)
    engine.present["c1"], engine.printed["c1"] = str(store.id), [b"".join(frame(b"%d\n" % n, at(n // 2)) for n in range(100))]
    await followers.look()
    assert await seen(store.id, 100) == [str(n) for n in range(100)]


async def test_lines_whose_storing_was_not_heard_of_are_not_stored_twice(store: models.Database) -> None:
    for _ in range(2):
        await container_logs.store(store.id, lines("one", "two"), 0, {"c": at(1)})
    await container_logs.store(store.id, lines("three", begin=2), 0, {"c": at(2)})
    assert await texts(store.id) == ["one", "two", "three"]


async def test_a_chunk_that_cannot_be_stored_is_in_nobodys_way(store: models.Database) -> None:
    writer = LogWriter()
    await writer.put(store.id, "a", [Printed("not a time", LogLevel.info, 1, "bad")], "1")
    await writer.flush()
    await writer.put(store.id, "a", lines("good"), "2")
    await writer.flush()
    assert await texts(store.id) == ["good"]
