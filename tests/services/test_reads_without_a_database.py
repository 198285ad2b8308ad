"""Reads that arrive while the database is away: 503 over REST and GraphQL, asked once, and right again when it is back."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import httpx2
import pytest

import models
from models import database
from models.database import own_connection
from models.readers import Readers
from tests.services.asking import Transport
from tests.services.conftest import PASSWORD, Api, Person, _registered

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
SECRET = "hunter22"
INSIDE = (SECRET, "Traceback", 'File "', "asyncpg", "select ", "/nowhere", "project t")
LIST = "{projects {nodes {id}}}"


@pytest.fixture(scope="module")
async def api(gateway: httpx2.AsyncClient) -> Api:
    """One installation for all tests here: each one names what it makes after itself."""
    await database.database().execute_script("truncate account, team, project cascade")
    return Api(gateway, await _registered(gateway, "owner"))


@dataclass
class Readings:
    """How often a connection was asked for, and at which of these times the database is away."""

    asked: int = 0
    away: int = 0
    error: Exception = field(default_factory=lambda: ConnectionError(f"password={SECRET}"))

    def begin(self, away: int = 0) -> None:
        self.asked, self.away = 0, away


@pytest.fixture
def readings(api: Api, monkeypatch: pytest.MonkeyPatch) -> Readings:
    found, take = Readings(), Readers.take

    async def counted(readers: Readers) -> asyncpg.Connection:
        found.asked += 1
        if found.asked == found.away:
            raise found.error
        return await take(readers)

    monkeypatch.setattr(Readers, "take", counted)
    return found


async def read(over: Transport, person: Person) -> httpx2.Response:
    """Ask for a list: one read says who asks, one reads the page."""
    return await (person.get("/projects") if over == "rest" else person.post("/graphql", {"query": LIST}))


async def create(over: Transport, person: Person, name: str) -> httpx2.Response:
    if over == "rest":
        return await person.post("/projects", {"name": name})
    return await person.post("/graphql", {"query": f'mutation {{createProject(input: {{name: "{name}"}}) {{id}}}}'})


def code(answer: httpx2.Response) -> str:
    """The code of a failed request, which tells nothing of the inside and shows no data."""
    body = answer.json()
    assert not body.get("data")
    assert [each for each in INSIDE if each in answer.text] == []
    error: dict[str, str] = body["errors"][0]["extensions"] if "errors" in body else body["error"]
    return error["code"]


def unavailable(answer: httpx2.Response) -> bool:
    return (answer.status_code, code(answer)) == (503, "SERVICE_UNAVAILABLE")


async def made(*names: str) -> list[str]:
    """Which of these projects there are."""
    return sorted([project.name for project in await models.Project.filter(name__in=names)])


def reading() -> list[asyncpg.Connection]:
    """The connections for reads that are open and idle."""
    idle = cast("Any", database._readers[-1]._idle)
    return [each for each in idle._queue if each is not None]


async def end_all() -> None:
    """End the connections for reads from the server's side."""
    async with own_connection() as other:
        for each in reading():
            await other.execute("select pg_terminate_backend($1)", each.get_server_pid())
    async with asyncio.timeout(5):
        while not all(each.is_closed() for each in reading()):
            await asyncio.sleep(0.01)


async def lead_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ORM's connections lead nowhere; those for reads are there."""
    pool = cast("Any", database.database())._pool
    monkeypatch.setitem(pool._connect_kwargs, "host", "/nowhere")
    await pool.expire_connections()


@BOTH
@pytest.mark.parametrize("away", [1, 2], ids=["when it asks who it is", "when it reads"])
async def test_a_read_while_the_database_is_away_is_503_and_tried_once(api: Api, readings: Readings, over: Transport, away: int) -> None:
    readings.begin(away)
    assert unavailable(await read(over, api.owner))
    assert readings.asked == away
    readings.begin()
    assert (await read(over, api.owner)).status_code == 200
    assert readings.asked == 2


@BOTH
async def test_an_answer_that_the_database_is_away_says_when_to_come_back(api: Api, readings: Readings, over: Transport) -> None:
    readings.begin(2)
    assert (await read(over, api.owner)).headers.get("Retry-After") == "5"


@BOTH
@pytest.mark.parametrize("error", [asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError])
async def test_a_database_that_takes_no_connections_is_away(api: Api, readings: Readings, over: Transport, error: type[Exception]) -> None:
    readings.error = error(f"sorry, {SECRET}")
    readings.begin(2)
    assert unavailable(await read(over, api.owner))
    assert readings.asked == 2


@pytest.mark.parametrize("away", [2, 3], ids=["at the lists", "at what a function returned"])
async def test_a_document_of_several_root_fields_fails_as_a_whole(api: Api, readings: Readings, away: int) -> None:
    readings.begin(away)
    answer = await api.owner.post(
        "/graphql", {"query": "{me {id} projects {totalCount} applications {totalCount} deployments {totalCount}}"}
    )
    assert unavailable(answer)
    assert len(answer.json()["errors"]) == 1
    assert readings.asked == away


@BOTH
async def test_a_change_is_not_made_while_the_database_is_away(api: Api, readings: Readings, over: Transport) -> None:
    readings.begin(1)
    assert unavailable(await create(over, api.owner, f"Never{over}"))
    assert (await made(f"Never{over}"), readings.asked) == ([], 1)


@BOTH
async def test_a_change_whose_answer_cannot_be_read_is_made_once(api: Api, readings: Readings, over: Transport) -> None:
    readings.begin(2)
    assert unavailable(await create(over, api.owner, f"Once{over}"))
    assert (await made(f"Once{over}"), readings.asked) == ([f"Once{over}"], 2)


async def test_no_change_follows_one_whose_answer_cannot_be_read(api: Api, readings: Readings) -> None:
    query = 'mutation {a: createProject(input: {name: "First"}) {id} b: createProject(input: {name: "Second"}) {id}}'
    readings.begin(2)
    assert unavailable(await api.owner.post("/graphql", {"query": query}))
    assert (await made("First", "Second"), readings.asked) == (["First"], 2)


@BOTH
async def test_a_database_that_went_and_came_back_is_found_again(api: Api, over: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = database._readers[-1]
    monkeypatch.setattr(readers, "_credentials", readers._credentials | {"host": "/nowhere"})
    await end_all()
    for _ in range(3):
        assert unavailable(await read(over, api.owner))
    monkeypatch.undo()
    assert (await read(over, api.owner)).status_code == 200


@BOTH
async def test_connections_that_ended_between_requests_are_replaced(api: Api, over: Transport) -> None:
    await end_all()
    assert (await read(over, api.owner)).status_code == 200


@BOTH
async def test_a_statement_whose_connection_ends_is_503_and_not_run_again(api: Api, readings: Readings, over: Transport) -> None:
    waiting = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with own_connection() as holder, own_connection() as other, asyncio.timeout(10), holder.transaction():
        await holder.execute("lock table project in access exclusive mode")
        asking = asyncio.create_task(read(over, api.owner))
        while not (found := await other.fetch(waiting)):
            await asyncio.sleep(0.01)
        await other.execute("select pg_terminate_backend($1)", found[0]["pid"])
        assert unavailable(await asking)
        assert not await other.fetch(waiting)
    assert readings.asked == 2
    assert (await read(over, api.owner)).status_code == 200


@BOTH
async def test_memberships_that_cannot_be_read_are_503(api: Api, over: Transport, readings: Readings) -> None:
    member = await api.person()
    readings.begin(away=2)
    assert unavailable(await read(over, member))
    assert readings.asked == 2
    assert (await read(over, member)).status_code == 200


async def test_a_login_without_the_database_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"username": "owner", "password": PASSWORD}
    await lead_astray(monkeypatch)
    assert unavailable(await api.anonymous.post("/auth/login", login))
    monkeypatch.undo()
    assert (await api.anonymous.post("/auth/login", login)).status_code == 200


@BOTH
async def test_health_says_that_the_database_is_away(api: Api, over: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    await lead_astray(monkeypatch)
    query = {"query": "{health {status}}"}
    answer = await (api.anonymous.get("/health") if over == "rest" else api.anonymous.post("/graphql", query))
    assert code(answer) == "SERVICE_UNAVAILABLE"
