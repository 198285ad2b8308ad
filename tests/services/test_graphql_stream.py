"""graphql-sse in its single connection mode, over two gateways: a stream at one of them, operations wherever they arrive."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from gateway.embedded.stack import Stack
from gateway.graphql_stream import HEADER, MOST_STREAMS
from gateway.held_stream import LAST_WORDS
from gateway.operations import MOST
from models import valkey
from schema import standing
from tests.services.conftest import Api, Person
from tests.services.gateways import browser, gateways
from tests.services.test_deployments import played
from tests.services.test_live import FOLLOWED, LARGE, told
from tests.services.test_websocket import EVENTS, started

ME = "{me {username}}"
FOUND = {"data": {"me": {"username": "owner"}}}


@dataclass
class Stream:
    """Somebody who reads a stream."""

    person: Person
    token: str
    frames: "asyncio.Queue[tuple[str, Any]]" = field(default_factory=asyncio.Queue)
    paused: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether it is no longer read."""

    async def read(self, answer: httpx2.Response) -> None:
        kind = ""
        async for line in answer.aiter_lines():
            while self.paused.is_set():
                await asyncio.sleep(0.05)
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                await self.frames.put((kind, json.loads(line.removeprefix("data: "))))
        await self.frames.put(("end", None))

    async def next(self) -> tuple[str, Any]:
        return await asyncio.wait_for(self.frames.get(), 10)

    async def ask(self, key: str, query: str, by: Person | None = None, **variables: Any) -> httpx2.Response:
        body = {"query": query, "variables": variables, "extensions": {"operationId": key}}
        return await (by or self.person).post("/graphql", body, headers={HEADER: self.token})

    async def end(self, id: str, by: Person | None = None) -> httpx2.Response:
        return await (by or self.person).call("DELETE", f"/graphql?operationId={id}", headers={HEADER: self.token})


@pytest.fixture(scope="module")
async def two(stack: Stack) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    """Two gateways."""
    async with gateways(stack, 2) as (one, other), browser(one) as first, browser(other) as second:
        yield first, second


@pytest.fixture
def people(api: Api, two: tuple[httpx2.AsyncClient, httpx2.AsyncClient]) -> tuple[Person, Person]:
    """The owner at each of the gateways."""
    one, other = (Person(client, "owner", token=api.owner.token) for client in two)
    return one, other


async def reserved(person: Person) -> str:
    answer = await person.call("PUT", "/graphql")
    assert (answer.status_code, answer.headers["Content-Type"]) == (201, "text/plain; charset=utf-8")
    return str(answer.text)


@asynccontextmanager
async def streaming(person: Person, reserve_at: Person | None = None) -> AsyncIterator[Stream]:
    token = await reserved(reserve_at or person)
    headers = person.headers | {"Accept": "text/event-stream", HEADER: token}
    async with person.client.stream("GET", "/api/graphql", headers=headers, timeout=60) as answer:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        stream = Stream(person, token)
        reading = asyncio.create_task(stream.read(answer))
        try:
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def test_results_come_over_the_stream_wherever_the_operation_was_sent(people: tuple[Person, Person]) -> None:
    one, other = people
    async with streaming(one, reserve_at=other) as stream:
        for number, person in enumerate((one, other)):
            answer = await stream.ask(f"q{number}", ME, by=person)
            assert (answer.status_code, answer.content) == (202, b"")
            assert await stream.next() == ("next", {"id": f"q{number}", "payload": FOUND})
            assert await stream.next() == ("complete", {"id": f"q{number}"})
        mutation = 'mutation {createProject(input: {name: "Streamed"}) {name}}'
        assert (await stream.ask("m", mutation, by=other)).status_code == 202
        assert (await stream.next())[1]["payload"] == {"data": {"createProject": {"name": "Streamed"}}}


async def test_a_subscription_is_followed_beside_others_and_ended(api: Api, people: tuple[Person, Person]) -> None:
    one, other = people
    id = await started(api)
    async with streaming(one) as stream:
        assert (await stream.ask("follow", EVENTS, by=other, id=id)).status_code == 202
        assert [(await stream.next())[1]["payload"]["data"]["deploymentEvents"]["seq"] for _ in range(2)] == [1, 2]
        assert (await stream.ask("follow", ME)).status_code == 409
        assert (await stream.ask("beside", ME)).status_code == 202
        assert [(await stream.next())[1]["id"] for _ in range(2)] == ["beside", "beside"]
        assert (await stream.end("follow", by=other)).status_code == 200
        assert await stream.next() == ("complete", {"id": "follow"})
        assert (await stream.ask("follow", EVENTS, id=id)).status_code == 202, "its id is free again"
        await played(id)
        told = [await stream.next() for _ in range(4)]
        while told[-1][0] != "complete":
            told.append(await stream.next())
        seqs = [content["payload"]["data"]["deploymentEvents"]["seq"] for kind, content in told if kind == "next"]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_what_cannot_be_run_is_told_at_once_and_what_fails_over_the_stream(people: tuple[Person, Person]) -> None:
    one, _ = people
    async with streaming(one) as stream:
        for query in ("{", "{nothing}"):
            assert (await stream.ask("bad", query)).status_code == 400
        answer = await one.post("/graphql", {"query": ME}, headers={HEADER: stream.token})
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, "extensions.operationId is missing.")
        assert (await stream.ask("gone", EVENTS, id="00000000-0000-0000-0000-000000000000")).status_code == 202
        kind, content = await stream.next()
        assert (kind, content["payload"]["errors"][0]["extensions"]["code"]) == ("next", "RESOURCE_NOT_FOUND")
        assert await stream.next() == ("complete", {"id": "gone"})


@pytest.mark.parametrize(
    "body",
    [*([], 7, "x", None), *({"query": ME, "extensions": {"operationId": id}} for id in (7, [], {}, None, ""))]
    + [{"query": ME, "extensions": []}]
    + [{"query": ME, "extensions": {"operationId": "a"}, name: wrong} for name, wrong in (("operationName", "nothing"), ("variables", []))],
)
async def test_what_is_no_operation_is_refused_and_the_stream_goes_on(people: tuple[Person, Person], body: Any) -> None:
    one, _ = people
    async with streaming(one) as stream:
        answer = await one.post("/graphql", body, headers={HEADER: stream.token})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "INVALID_INPUT")
        assert (await stream.ask("a\n\nevent: complete", ME)).status_code == 202
        assert await stream.next() == ("next", {"id": "a\n\nevent: complete", "payload": FOUND})


async def test_a_stream_is_its_owners_alone(api: Api, people: tuple[Person, Person]) -> None:
    one, other = people
    stranger = Person(one.client, "stranger", token=(await api.person()).token)
    anonymous = Person(one.client)
    assert (await anonymous.call("PUT", "/graphql")).status_code == 401
    async with streaming(one) as stream:
        for person in (stranger, anonymous):
            assert (await stream.ask("theirs", "{__typename}", by=person)).status_code == 404
            assert (await stream.end("theirs", by=person)).status_code == 404
        for person, status in ((stranger, 404), (anonymous, 409), (other, 409)):
            opened = await person.get("/graphql", headers={"Accept": "text/event-stream", HEADER: stream.token})
            assert opened.status_code == status
        assert (await stream.ask("mine", ME)).status_code == 202
        assert (await stream.next())[1] == {"id": "mine", "payload": FOUND}


async def test_a_browser_opens_a_stream_by_its_address_alone(people: tuple[Person, Person]) -> None:
    one, other = people
    token = await reserved(one)
    async with other.client.stream("GET", f"/api/graphql?token={token}", headers={"Accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        stream = Stream(one, token)
        reading = asyncio.create_task(stream.read(answer))
        assert (await stream.ask("1", ME)).status_code == 202
        assert await stream.next() == ("next", {"id": "1", "payload": FOUND})
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_stream_that_is_not_there_is_404(people: tuple[Person, Person]) -> None:
    one, other = people
    closed = await reserved(one)
    for token in ("nonsense", closed):
        assert (await Stream(one, token).ask("1", ME)).status_code == 404
        assert (await Stream(one, token).end("1")).status_code == 404
    assert (await one.get("/graphql", headers={HEADER: "nonsense"})).status_code == 404
    assert (await one.call("DELETE", "/graphql")).status_code == 400
    async with streaming(one) as stream:
        pass
    for _ in range(50):
        if (await stream.ask("1", ME, by=other)).status_code == 404:
            break
        await asyncio.sleep(0.1)
    assert await valkey.client().keys(f"dokploy:stream:{stream.token}*") == []


async def test_a_stream_has_so_many_operations_and_no_more(api: Api, people: tuple[Person, Person]) -> None:
    id = await started(api)
    async with streaming(people[0]) as stream:
        answers = [await stream.ask(f"s{number}", EVENTS, id=id) for number in range(MOST + 1)]
        assert [answer.status_code for answer in answers] == [202] * MOST + [409]


async def test_a_stream_ends_with_its_session(people: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = people
    async with streaming(one) as stream:
        assert (await other.post("/auth/logout")).status_code == 204
        assert await stream.next() == ("end", None)


async def test_what_is_followed_over_a_stream_tells_why_it_ends_with_its_session(api: Api, people: tuple[Person, Person]) -> None:
    one, other = people
    id = await started(api)
    async with streaming(one) as stream:
        for name in "ab":
            assert (await stream.ask(name, EVENTS, id=id)).status_code == 202
        assert [(await stream.next())[0] for _ in range(4)] == ["next"] * 4
        assert (await other.post("/auth/logout")).status_code == 204
        last = [await stream.next() for _ in range(5)]
    assert last[-1] == ("end", None)
    errors = {frame["id"]: frame["payload"]["errors"][0]["extensions"]["code"] for kind, frame in last if kind == "next"}
    assert errors == {"a": "INVALID_TOKEN", "b": "INVALID_TOKEN"}
    assert sorted(frame["id"] for kind, frame in last if kind == "complete") == ["a", "b"]


async def test_whoever_does_not_read_a_stream_finds_it_ended_with_its_session(api: Api, people: tuple[Person, Person]) -> None:
    one, other = people
    id = await started(api)
    async with streaming(one) as stream:
        for number in range(MOST):
            assert (await stream.ask(str(number), FOLLOWED, id=id)).status_code == 202
        assert [(await stream.next())[0] for _ in range(2 * MOST)] == ["next"] * 2 * MOST
        stream.paused.set()
        for _ in range(10):
            await told(id, *[LARGE] * 10)
        assert (await other.post("/auth/logout")).status_code == 204
        await asyncio.sleep(standing.EVERY + LAST_WORDS + 1)
        stream.paused.clear()
        seen = 0
        while (await stream.next())[0] == "next":
            seen += 1
        assert 0 < seen < 100 * MOST, "what was on its way, and no more"
        await gone(stream)


async def gone(stream: Stream) -> None:
    """Wait until nothing is known of it."""
    async with asyncio.timeout(15):
        while await valkey.client().keys(f"dokploy:stream:{stream.token}*"):
            await asyncio.sleep(0.1)


async def test_a_session_has_so_many_streams_and_no_more(people: tuple[Person, Person]) -> None:
    one, _ = people
    async with AsyncExitStack() as opened:
        for _ in range(MOST_STREAMS):
            await opened.enter_async_context(streaming(one))
        token = await reserved(one)
        answer = await one.get("/graphql", headers={"Accept": "text/event-stream", HEADER: token})
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (409, "CONFLICT")


async def test_what_is_done_over_a_stream_is_whose_who_asked_for_it(api: Api, people: tuple[Person, Person]) -> None:
    one, _ = people
    async with streaming(one) as stream:
        body = {"query": 'mutation {createProject(input: {name: "Audited"}) {id}}', "extensions": {"operationId": "m"}}
        asked = await one.post("/graphql", body, headers={HEADER: stream.token, "X-Request-ID": "by-stream"})
        assert (asked.status_code, (await stream.next())[0]) == (202, "next")
        kept = await one.post("/graphql", body, headers={HEADER: stream.token, "Idempotency-Key": "once"})
        assert kept.status_code == 400
    (entry,) = (await api.owner.get("/audit?action=projects.create&limit=1")).json()["data"]
    assert entry["requestId"] == "by-stream"


async def test_a_mutation_that_has_begun_is_done_although_its_stream_ends(api: Api, people: tuple[Person, Person]) -> None:
    one, other = people
    async with streaming(one) as stream:
        mutation = "mutation {" + " ".join(f'a{n}: createProject(input: {{name: "Ends{n}"}}) {{id}}' for n in range(20)) + "}"
        assert (await stream.ask("m", mutation)).status_code == 202
    await gone(stream)
    async with asyncio.timeout(15):
        while (await other.get("/projects?search=Ends")).json()["pagination"]["total"] < 20:
            await asyncio.sleep(0.1)


async def test_an_operation_that_is_ended_at_once_frees_its_id(people: tuple[Person, Person]) -> None:
    one, _ = people
    async with streaming(one) as stream:
        for _ in range(5):
            assert (await stream.ask("again", ME)).status_code == 202
            assert (await stream.end("again")).status_code == 200
            while (await stream.next())[0] != "complete":
                pass
