"""A round: everything at once, nothing in the way of anything else, and what is not known is not made up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from models import Database, DatabaseType
from models.metrics import Host, Taken
from tests.workers.monitor.test_containers import container
from workers.databases import REDIS
from workers.databases.contract import Ask, Credentials, Statistics
from workers.engine import EngineUnavailable
from workers.monitor import __main__ as process
from workers.monitor import sample
from workers.monitor.connections import Connections
from workers.monitor.databases import Sample
from workers.monitor.sample import Sampler

ANSWER = Statistics(1, 2, 0.5, 4)


class Told:
    """An Engine that says what it is told to; each database is a container of its own."""

    def __init__(self, databases: Sequence[Database]) -> None:
        ids = [str(each.id) for each in databases]
        self.found = [container(f"c-{each}", each) for each in ids]
        self.others: list[dict[str, Any]] = []
        """Containers of applications."""
        self.bridge: dict[str, Any] | None = {
            "Containers": {f"c-{each}": {"IPv4Address": f"10.0.0.{number}/16"} for number, each in enumerate(ids)}
        }
        self.usage: dict[str, Any] | None = {"memory_stats": {"usage": 7 << 20}}
        self.volumes = {each.volume: 3 << 20 for each in databases}
        self.away: Exception | None = None
        self.hangs: set[str] = set()
        self.asked = self.walked = 0

    async def containers(self, label: str) -> list[dict[str, Any]]:
        self.asked += 1
        if self.away:
            raise self.away
        return {"dokploy.database": self.found, "dokploy.application": self.others}[label]

    async def network(self, name: str) -> dict[str, Any] | None:
        assert name == "docker_gwbridge"
        return self.bridge

    async def container_limits(self, container_id: str) -> tuple[int | None, float | None] | None:
        return None

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        if container_id in self.hangs:
            await asyncio.sleep(60)
        if self.usage is None:
            raise EngineUnavailable
        return self.usage

    async def info(self) -> dict[str, Any]:
        return {"DockerRootDir": "/"}

    async def volume_usage(self, seconds: float) -> dict[str, int]:
        self.walked += 1
        if "volumes" in self.hangs:
            await asyncio.sleep(60)
        return self.volumes


class Round:
    """A sampler over rows that are in memory only, and what it has stored."""

    def __init__(self, number: int) -> None:
        self.databases = [row(each) for each in range(number)]
        self.engine = Told(self.databases)
        self.stored: list[list[Sample]] = []
        self.taken: list[list[Taken]] = []
        self.hosts: list[tuple[datetime, Host]] = []
        self.hanging: set[str] = set()
        self.failing: set[str] = set()
        connections = Connections({DatabaseType.redis: replace(REDIS, connect=self.connect)})
        self.sampler = Sampler(self.engine, connections)

    async def wanted(self) -> list[Database]:
        return self.databases

    async def store(self, samples: list[Sample]) -> None:
        self.stored.append(samples)

    async def store_metrics(self, at: datetime, host: Host, taken: list[Taken]) -> None:
        self.hosts.append((at, host))
        self.taken.append(taken)

    @asynccontextmanager
    async def connect(self, host: str, port: int, credentials: Credentials, seconds: float) -> AsyncIterator[Ask]:
        async def ask() -> Statistics:
            if host in self.hanging:
                await asyncio.sleep(60)
            if host in self.failing:
                raise PermissionError(f"not with {credentials.password}")
            return ANSWER

        yield ask


def application(id: str) -> dict[str, str]:
    """The labels of a container of an application."""
    return {"dokploy.application": id}


def row(number: int) -> Database:
    stored = {"username": "default", "password": "secret", "admin_password": "", "database": "", "next_password": "other"}
    return Database(id=uuid4(), type=DatabaseType.redis, volume=f"v{number}", credentials=stored)


@pytest.fixture
async def many(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Round]:
    made = Round(50)
    monkeypatch.setattr(sample, "wanted", made.wanted)
    monkeypatch.setattr(sample, "store", made.store)
    monkeypatch.setattr(sample.metrics, "store", made.store_metrics)
    monkeypatch.setattr(sample, "SECONDS", 0.3)
    yield made
    await made.sampler.close()


async def test_a_round_is_stored_at_once(many: Round) -> None:
    assert await many.sampler.round() == 50
    (stored,) = many.stored
    assert stored == [Sample(each.id, ANSWER, 7 << 20, 3 << 20) for each in many.databases]


async def test_what_takes_long_delays_nothing_and_is_not_known(many: Round) -> None:
    many.hanging = {"10.0.0.3"}
    many.engine.hangs = {f"c-{many.databases[4].id}", "volumes"}
    began = monotonic()
    await many.sampler.round()
    assert monotonic() - began < 1
    found = {each.database: each for each in many.stored[0]}
    third, fourth, fifth = (found[many.databases[number].id] for number in (3, 4, 5))
    assert (third.statistics, third.memory, third.storage) == (None, 7 << 20, None)
    assert (fourth.statistics, fourth.memory) == (ANSWER, None)
    assert (fifth.statistics, fifth.memory) == (ANSWER, 7 << 20)


async def test_a_server_that_does_not_answer_is_reported_once_and_without_its_words(many: Round) -> None:
    many.failing = {"10.0.0.3"}
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await many.sampler.round()
        many.failing = set()
        await many.sampler.round()
        many.failing = {"10.0.0.3"}
        await many.sampler.round()
    entry = {"event": "monitor.silent", "database": str(many.databases[3].id), "error": "PermissionError", "log_level": "info"}
    assert logs == [entry, entry]


async def test_credentials_that_are_none_are_no_ones_elses_matter(many: Round) -> None:
    many.databases[2].credentials = {"username": "default"}
    await many.sampler.round()
    assert [each.database for each in many.stored[0] if each.statistics is None] == [many.databases[2].id]


async def test_databases_elsewhere_are_left_to_the_monitor_there(many: Round) -> None:
    elsewhere = many.databases[0].id
    many.engine.found = many.engine.found[1:]
    assert await many.sampler.round() == 49
    assert elsewhere not in {each.database for each in many.stored[0]}


async def test_a_container_that_the_host_does_not_reach_is_measured_from_outside(many: Round) -> None:
    many.engine.bridge = None
    await many.sampler.round()
    assert {(each.statistics, each.memory) for each in many.stored[0]} == {(None, 7 << 20)}


async def test_an_engine_that_tells_no_memory(many: Round) -> None:
    many.engine.usage = None
    await many.sampler.round()
    assert {(each.statistics, each.memory) for each in many.stored[0]} == {(ANSWER, None)}


async def test_connections_of_databases_that_are_gone_are_closed(many: Round) -> None:
    await many.sampler.round()
    kept: list[UUID] = [each.id for each in many.databases[:2]]
    many.databases = many.databases[:2]
    await many.sampler.round()
    assert many.sampler._connections.databases == set(kept)
    many.databases = []
    walked = many.engine.walked
    assert await many.sampler.round() == 0
    assert not many.sampler._connections.databases
    assert many.engine.walked == walked, "where there are no databases, nobody looks at every file"
    assert len(many.stored) == 2


async def test_containers_of_applications_and_databases_are_measured_alike(many: Round) -> None:
    shop, gone = str(uuid4()), str(uuid4())
    labels = [(f"s{number}", shop) for number in range(3)] + [("g", gone)]
    many.engine.others = [{**container(id, "x"), "Labels": application(subject)} for id, subject in labels]
    many.engine.others[3]["State"] = "exited"
    many.databases = many.databases[:1]
    await many.sampler.round()
    (taken,) = many.taken
    assert {each.subject: each.memory for each in taken}[UUID(shop)] == 21 << 20, "the sum of its containers"
    assert UUID(gone) not in {each.subject for each in taken}
    assert len(taken) == 51, "also of databases whose rows this monitor did not find"


async def test_an_application_of_which_one_container_is_not_known_is_left_out(many: Round) -> None:
    shop = str(uuid4())
    many.engine.others = [{**container(id, "x"), "Labels": application(shop)} for id in ("s1", "s2")]
    many.engine.hangs = {"s2"}
    await many.sampler.round()
    assert UUID(shop) not in {each.subject for each in many.taken[0]}
    many.engine.hangs = set()
    await many.sampler.round()
    assert {each.subject: each.memory for each in many.taken[1]}[UUID(shop)] == 14 << 20


async def test_the_host_is_measured_with_every_round(many: Round) -> None:
    many.engine.found = []
    await many.sampler.round()
    await many.sampler.round()
    (_, first), (at, second) = many.hosts
    assert (first.cpu, first.network_rx) == (None, None), "what has passed is known from the second time on"
    assert second.cpu is not None and 0 <= second.cpu <= 1
    assert second.network_rx is not None and second.memory > 1 << 20 and second.disk > 1 << 20
    assert timedelta() < datetime.now(UTC) - at < timedelta(seconds=20)


@pytest.mark.parametrize(("began", "begin"), [(1000.0, 990), (1002.4, 990), (999.9, 990), (1009.4, 990), (1009.6, 1000)])
def test_a_round_stands_for_the_ten_seconds_before_it(began: float, begin: int) -> None:
    assert sample.slot(began) == datetime.fromtimestamp(begin, UTC)


async def test_rounds_go_on_and_say_once_what_is_away(many: Round) -> None:
    many.engine.away = EngineUnavailable("refused")
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(process.rounds(many.sampler, 0.01))
        await asyncio.sleep(0.1)
        many.engine.away = ConnectionError()
        await asyncio.sleep(0.1)
        many.engine.away = None
        await asyncio.sleep(0.2)
        running.cancel()
        await asyncio.wait([running])
    assert [(entry["event"], entry["part"]) for entry in logs] == [
        ("monitor.away", "engine"),
        ("monitor.away", "database"),
        ("monitor.back", "database"),
    ]
    assert many.engine.asked > 10
    assert many.stored


async def test_rounds_go_on_after_what_nobody_expected(many: Round) -> None:
    many.engine.away = ValueError("odd")
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(process.rounds(many.sampler, 0.01))
        await asyncio.sleep(0.1)
        many.engine.away = None
        await asyncio.sleep(0.2)
        running.cancel()
        await asyncio.wait([running])
    assert {entry["event"] for entry in logs} == {"monitor.unexpected"}
    assert many.stored
