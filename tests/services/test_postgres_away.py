"""Postgres is killed, cuts its connections, or falls silent: whoever needs it is told so in time, and it is soon found again."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.embedded.children import last_lines
from gateway.embedded.supervisor import Supervised
from models.database import credentials
from schema.standing import EVERY
from tests.services.conftest import PASSWORD, Api
from tests.services.outages import Asked, Request, Site, asking, site
from tests.services.test_websocket import opened

pytestmark = pytest.mark.faults

LONGEST = 3.0
"""Seconds within which somebody is answered."""
RECOVERY = 5.0
"""Seconds after which all is well again."""
AWAY = 3.0
"""Seconds without Postgres."""


@pytest.fixture(scope="module")
async def place(stack: object) -> AsyncIterator[Site]:
    async with site() as found:
        yield found


async def requests(api: Api) -> list[Request]:
    """One of each kind that needs the database."""
    application = await api.application()
    path = f"/applications/{application['id']}"
    names = {"query": "{applications {nodes {name lastDeployment {status}}} me {username}}"}
    change = {"query": "mutation ($id: ID!) {deployApplication(id: $id, input: {}) {id}}", "variables": {"id": application["id"]}}
    login = {"username": "owner", "password": PASSWORD}
    return [
        lambda: api.owner.get("/users/me"),
        lambda: api.owner.get("/applications"),
        lambda: api.owner.post(f"{path}/deploy"),
        lambda: api.owner.post("/graphql", names),
        lambda: api.owner.patch(path, {"replicas": 2}),
        lambda: api.owner.post("/graphql", change),
        lambda: api.anonymous.get("/health"),
        lambda: api.anonymous.post("/auth/login", login),
        lambda: api.owner.post(f"{path}/deploy", headers={"Idempotency-Key": os.urandom(8).hex()}),
    ]


def server(place: Site) -> int:
    """The process id of Postgres."""
    for each in place.stack.supervisor._children:
        if isinstance(each, Supervised) and each.command.name == "postgres" and each.pid is not None:
            return each.pid
    raise AssertionError("Postgres does not run")


async def answering(place: Site) -> None:
    """Wait until Postgres itself answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                connection = await asyncpg.connect(**credentials(place.stack.database_url))
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return


async def well(given: list[Request], since: float) -> float:
    """Wait until each of the requests succeeds. The seconds it took."""
    async with asyncio.timeout(4 * RECOVERY):
        while not all([(await each()).is_success for each in given]):
            await asyncio.sleep(0.05)
    return time.monotonic() - since


def unavailable(found: Asked) -> None:
    """Requests failed, in time, and each as it should."""
    print(f"\n{found}")
    assert found.wrong == []
    assert 503 in found.statuses
    assert max(found.seconds) < LONGEST


def unexpected(place: Site) -> list[str]:
    """What the gateway logged as an error of its own."""
    return [line for line in place.gateway.log.read_text().splitlines() if "gateway.unexpected" in line or "Exception in ASGI" in line]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "restarted"])
async def test_while_postgres_is_started_again_whoever_needs_it_is_told_so(place: Site, number: signal.Signals) -> None:
    given = await requests(place.api)
    back = asyncio.Event()
    asked = asyncio.create_task(asking(given, back.is_set))
    await asyncio.sleep(0.5)
    before = server(place)
    os.kill(before, number)
    await asyncio.sleep(0.2)
    await answering(place)
    began = time.monotonic()
    back.set()
    unavailable(await asked)
    seconds = await well(given, began)
    print(f"well again after {seconds:.2f} s")
    assert server(place) != before
    assert seconds < RECOVERY
    assert unexpected(place) == []


async def test_connections_that_are_cut_cost_each_a_request_at_most(place: Site) -> None:
    given = await requests(place.api)
    over = asyncio.Event()
    asked = asyncio.create_task(asking(given, over.is_set, callers=8))
    connection = await asyncpg.connect(**credentials(place.stack.database_url))
    cut = 0
    for _ in range(5):
        await asyncio.sleep(0.3)
        ended = await connection.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user and pid <> pg_backend_pid()"
        )
        cut += len(ended)
    await connection.close()
    over.set()
    found = await asked
    print(f"\n{cut} connections cut, {found}")
    assert found.wrong == []
    assert cut > 5
    assert found.statuses.count(503) <= cut
    assert max(found.seconds) < LONGEST
    assert await well(given, time.monotonic()) < RECOVERY
    assert unexpected(place) == []


async def test_a_postgres_that_says_nothing_any_more_is_not_waited_for(place: Site) -> None:
    given = await requests(place.api)
    assert await well(given, time.monotonic()) < RECOVERY
    until = time.monotonic() + AWAY
    asked = asyncio.create_task(asking(given, lambda: time.monotonic() > until, callers=40))
    await asyncio.sleep(0.1)
    place.postgres.stall()
    unavailable(await asked)
    await place.postgres.restore()
    seconds = await well(given, time.monotonic())
    print(f"well again after {seconds:.2f} s")
    assert seconds < RECOVERY
    assert unexpected(place) == []


async def test_a_postgres_that_accepts_and_says_nothing_is_not_waited_for(place: Site) -> None:
    given = await requests(place.api)
    await place.postgres.cut()
    await place.postgres.restore()
    place.postgres.stall()
    until = time.monotonic() + AWAY
    found = await asking(given, lambda: time.monotonic() > until, callers=40)
    unavailable(found)
    assert set(found.statuses) == {503}
    await place.postgres.restore()
    assert await well(given, time.monotonic()) < RECOVERY
    assert unexpected(place) == []


async def test_a_gateway_that_is_started_without_postgres_finds_it(place: Site) -> None:
    given = await requests(place.api)
    await place.postgres.cut()
    assert await place.gateway.stop() == 0
    await place.gateway.start()
    found = Asked()
    for each in given:
        found.count(await each(), 0)
    assert (found.wrong, set(found.statuses)) == ([], {503})
    await place.postgres.restore()
    assert await well(given, time.monotonic()) < RECOVERY


async def test_a_gateway_stops_in_time_while_postgres_says_nothing(place: Site) -> None:
    given = await requests(place.api)
    place.postgres.stall()
    asked = [asyncio.create_task(each()) for each in given]
    await asyncio.sleep(0.2)
    assert await place.gateway.stop() == 0
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {503}
    await place.postgres.restore()
    await place.gateway.start()


async def test_a_socket_that_cannot_be_opened_shall_try_again_later(place: Site) -> None:
    url, token = f"{place.gateway.url.replace('http', 'ws')}/api/graphql", place.api.owner.token
    async with opened(url, token) as socket:
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
    await place.postgres.cut()
    async with opened(url) as socket:
        await socket.send(type="connection_init", payload={"Authorization": f"Bearer {token}"})
        assert await socket.closed() == 1013
    await place.postgres.restore()


async def test_a_session_that_ends_after_an_outage_still_closes_its_sockets(place: Site) -> None:
    person = await place.api.person()
    async with opened(f"{place.gateway.url.replace('http', 'ws')}/api/graphql", person.token) as socket:
        await place.postgres.cut()
        await asyncio.sleep(EVERY + 0.5)
        await place.postgres.restore()
        assert (await person.post("/auth/logout")).status_code == 204
        assert await socket.closed() == 4403


async def test_a_burst_at_a_gateway_without_connections_is_answered_however_long_the_line(place: Site) -> None:
    given = await requests(place.api)
    assert await place.gateway.stop() == 0
    await place.gateway.start()
    answers = await asyncio.gather(*[given[number % len(given)]() for number in range(20 * len(given))])
    assert {answer.status_code for answer in answers} == {200, 202}, last_lines(place.gateway.log, 5)
