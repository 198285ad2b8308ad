"""The forms that an answer to GraphQL has, as the `Accept` header asks."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest

from gateway.event_stream import EventStream, beating
from gateway.graphql_answers import following
from tests.services.conftest import Api
from tests.services.test_deployments import deployed

JSON, RESULT = "application/json", "application/graphql-response+json"
EVENTS, PARTS = "text/event-stream", 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
FOLLOWED = "subscription ($id: ID!) {deploymentEvents(deploymentId: $id) {seq status}}"
WRONG = ["{", "{nothing}", "query ($a: ID!) {application(id: $a) {id}}"]
"""A document that cannot be parsed, one that is not valid, and one without a value for its variable."""


async def asked(api: Api, query: str, accept: str | None, **variables: Any) -> httpx2.Response:
    headers = {} if accept is None else {"Accept": accept}
    return await api.owner.post("/graphql", {"query": query, "variables": variables}, headers=headers)


def told(text: str) -> list[tuple[str, Any]]:
    """Kind and data of server-sent events."""
    found = []
    for block in text.split("\n\n")[:-1]:
        kind, data = block.split("\n")
        value = data.removeprefix("data: ")
        found.append((kind.removeprefix("event: "), json.loads(value) if value else None))
    return found


@pytest.mark.parametrize(
    ("accept", "form"), [(None, JSON), ("*/*", JSON), (JSON, JSON), (RESULT, RESULT), (f"{RESULT}, {JSON};q=0.9", RESULT)]
)
async def test_a_result_has_the_form_that_is_asked_for(api: Api, accept: str | None, form: str) -> None:
    answer = await asked(api, "{__typename}", accept)
    assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (200, form, {"data": {"__typename": "Query"}})
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("query", WRONG)
@pytest.mark.parametrize(("accept", "status"), [(None, 400), (RESULT, 400), (JSON, 200)])
async def test_who_asks_for_json_by_name_hears_of_a_bad_document_with_200(api: Api, query: str, accept: str | None, status: int) -> None:
    answer = await asked(api, query, accept)
    assert (answer.status_code, "data" in answer.json(), len(answer.json()["errors"])) == (status, False, 1)


@pytest.mark.parametrize(("accept", "status"), [(None, 200), (JSON, 200), (EVENTS, 200), (RESULT, 294)])
async def test_data_with_errors_are_a_partial_success(api: Api, accept: str | None, status: int) -> None:
    for query in ("{__typename a: project(id: 5) {id}}", "{__typename a: project(id: 5) {id} b: project(id: 6) {id}}"):
        assert (await asked(api, query, accept)).status_code == status


async def test_a_query_and_a_mutation_are_answered_as_events(api: Api) -> None:
    answer = await asked(api, "{__typename}", EVENTS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, EVENTS)
    assert told(answer.text) == [("next", {"data": {"__typename": "Query"}}), ("complete", None)]
    answer = await asked(api, 'mutation {createProject(input: {name: "Events"}) {name}}', EVENTS)
    assert told(answer.text) == [("next", {"data": {"createProject": {"name": "Events"}}}), ("complete", None)]


@pytest.mark.parametrize("query", WRONG)
async def test_a_bad_document_is_told_as_an_event(api: Api, query: str) -> None:
    answer = await asked(api, query, EVENTS)
    (kind, content), end = told(answer.text)
    assert (answer.status_code, kind, list(content), end) == (200, "next", ["errors"], ("complete", None))


async def test_a_subscription_is_followed_as_events(api: Api) -> None:
    row = await deployed(api, await api.application())
    answer = await asked(api, FOLLOWED, EVENTS, id=str(row.id))
    *events, end = told(answer.text)
    assert {kind for kind, _ in events} == {"next"}
    seqs = [content["data"]["deploymentEvents"]["seq"] for _, content in events]
    assert seqs == list(range(1, len(seqs) + 1))
    assert events[-1][1]["data"]["deploymentEvents"]["status"] == "success"
    assert end == ("complete", None)


async def test_a_subscription_is_followed_as_parts(api: Api) -> None:
    row = await deployed(api, await api.application())
    answer = await asked(api, FOLLOWED, "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json", id=str(row.id))
    assert answer.headers["Content-Type"] == PARTS
    before, *parts, end = answer.text.split("\r\n--graphql")
    assert (before, end) == ("", "--\r\n")
    assert len(parts) > 2
    contents = [json.loads(part.removeprefix("\r\nContent-Type: application/json\r\n\r\n"))["payload"] for part in parts]
    assert [content["data"]["deploymentEvents"]["seq"] for content in contents] == list(range(1, len(contents) + 1))


@pytest.mark.parametrize("accept", [EVENTS, "multipart/mixed"])
async def test_what_ends_a_subscription_is_told(api: Api, accept: str) -> None:
    answer = await asked(api, FOLLOWED, accept, id="00000000-0000-0000-0000-000000000000")
    assert answer.status_code == 200
    assert answer.text.count('"RESOURCE_NOT_FOUND"') == 1


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("{__typename}", "text/html"),
        ("{__typename}", "multipart/mixed"),
        (FOLLOWED, JSON),
        ("{", "image/png"),
        ("{nothing}", f"{JSON};q=0"),
    ],
)
async def test_what_has_no_form_that_is_accepted_is_406(api: Api, query: str, accept: str) -> None:
    answer = await asked(api, query, accept, **({"id": "x"} if query == FOLLOWED else {}))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (406, "NOT_ACCEPTABLE")


async def test_a_mutation_that_has_no_form_is_not_run(api: Api) -> None:
    answer = await asked(api, 'mutation {createProject(input: {name: "Formless"}) {name}}', "text/html")
    assert answer.status_code == 406
    assert (await api.owner.get("/projects?search=Formless")).json()["pagination"]["total"] == 0


async def test_an_error_of_the_whole_request_has_the_form_that_is_asked_for(api: Api) -> None:
    answer = await api.owner.call("POST", "/graphql", content=b"{", headers={"Accept": RESULT, "Content-Type": JSON})
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, RESULT)


async def test_a_part_is_whole_as_soon_as_it_is_sent() -> None:
    async def results() -> AsyncGenerator[dict[str, Any]]:
        yield {"data": 1}
        await asyncio.sleep(60)

    answer = following(results(), "multipart/mixed")
    assert isinstance(answer, EventStream)
    heard = b""
    async for frame in answer.body_iterator:
        heard += bytes(frame)
        if b"payload" in heard:
            break
    assert heard.startswith(b"\r\n--graphql\r\n")
    assert heard.endswith(b'{"payload":{"data":1}}\r\n--graphql'), "Apollo Client waits for the boundary behind a part"


async def test_a_head_of_a_stream_is_its_headers(api: Api) -> None:
    row = await deployed(api, await api.application())
    for path in (f"/deployments/{row.id}/events", f"/graphql?query={FOLLOWED}&variables={json.dumps({'id': str(row.id)})}"):
        answer = await api.owner.call("HEAD", path, headers={"Accept": EVENTS})
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0], answer.content) == (200, EVENTS, b"")


async def test_a_kept_answer_says_so_in_every_form(api: Api) -> None:
    headers = {"Idempotency-Key": "form"}
    asking = {"query": 'mutation {createProject(input: {name: "Kept"}) {name}}'}
    first = await api.owner.post("/graphql", asking, headers=headers)
    again = await api.owner.post("/graphql", asking, headers=headers | {"Accept": EVENTS})
    assert told(again.text)[0] == ("next", first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert all("Accept" in answer.headers["Vary"] for answer in (first, again))


async def test_a_bad_document_is_refused_as_json_where_that_is_accepted_at_all(api: Api) -> None:
    answer = await asked(api, "{nothing}", f"multipart/mixed;deferSpec=20220824, {RESULT}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, RESULT)


async def test_silence_is_broken_by_beats() -> None:
    async def slow() -> AsyncGenerator[bytes]:
        yield b"one"
        await asyncio.sleep(0.25)
        yield b"two"

    heard = [each async for each in beating(slow(), b"-", 0.1)]
    assert heard == [b"one", b"-", b"-", b"two"]


async def test_who_stops_listening_ends_what_was_coming() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            ended.set()

    frames = beating(endless(), b"-", 0.01)
    assert await anext(frames) == b"-"
    await frames.aclose()
    assert ended.is_set()
