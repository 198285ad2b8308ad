"""Documents by name: automatically by their hash, or out of a list of the only ones that are run."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway import persisted
from gateway.embedded.stack import Stack
from gateway.embedded.up import CLI, free_port, gateway_argv
from gateway.graphql import Asking
from gateway.persisted import KEPT, TEXTS, BadList, Persisted, hashed, listed
from models import valkey
from models.document_limits import DocumentLimits
from schema import tokens
from schema.context import Context
from schema.surface import surface
from tests.services.conftest import Api, Person
from tests.services.gateways import browser, gateways
from tests.services.test_websocket import opened

ME = "{me {username}}"
FOUND = {"data": {"me": {"username": "owner"}}}


def by_hash(name: str, query: str | None = None, **more: Any) -> dict[str, Any]:
    given = {} if query is None else {"query": query}
    return {**given, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": name}}, **more}


async def code(person: Person, body: dict[str, Any]) -> str:
    answer = await person.post("/graphql", body)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    return str(error["extensions"]["code"])


@pytest.fixture(autouse=True)
async def nothing_known(api: Api) -> None:
    await valkey.client().flushdb()


def fresh(number: int = 0) -> str:
    """A document that no gateway of these tests has seen."""
    return f"{{me {{username}}}} # {number}"


async def test_a_document_is_sent_once_and_then_asked_for_by_its_hash(api: Api) -> None:
    query = fresh(1)
    answer = await api.owner.post("/graphql", by_hash(hashed(query)))
    assert answer.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert await code(api.owner, by_hash(hashed(query))) == "PERSISTED_QUERY_NOT_FOUND"
    assert (await api.owner.post("/graphql", by_hash(hashed(query), query))).json() == FOUND
    assert (await api.owner.post("/graphql", by_hash(hashed(query)))).json() == FOUND
    assert (await api.owner.post("/graphql", {"documentId": f"sha256:{hashed(query)}"})).json() == FOUND
    variables = {"extensions": json.dumps(by_hash(hashed(query))["extensions"])}
    assert (await api.owner.get("/graphql", params=variables)).json() == FOUND


async def test_any_gateway_knows_what_one_was_sent(api: Api) -> None:
    query, context = fresh(2), Context(user=None)
    assert (await api.owner.post("/graphql", by_hash(hashed(query), query))).json() == FOUND
    other = Persisted(None)
    found = await other.resolved(Asking(extensions=by_hash(hashed(query))["extensions"]))
    assert found.query == query
    await valkey.client().flushdb()
    assert (await other.resolved(Asking(extensions=by_hash(hashed(query))["extensions"]))).query == query
    await other.keep(Asking(query, extensions=by_hash(hashed(query))["extensions"]), context)


async def test_a_socket_takes_names_too(api: Api, server: str) -> None:
    query = fresh(3)
    assert (await api.owner.post("/graphql", by_hash(hashed(query), query))).json() == FOUND
    async with opened(server, api.owner.token) as socket:
        await socket.send(type="subscribe", id="1", payload=by_hash(hashed(query)))
        assert await socket.until_complete("1") == [FOUND]
        await socket.send(type="subscribe", id="2", payload=by_hash(hashed("{nothing of the kind}")))
        told = await socket.receive()
        assert (told["type"], told["payload"][0]["message"]) == ("error", "PersistedQueryNotFound")


async def test_what_is_not_as_its_hash_says_is_refused(api: Api) -> None:
    assert await code(api.owner, by_hash(hashed(ME), fresh(4))) == "PERSISTED_QUERY_HASH_MISMATCH"
    assert await code(api.owner, by_hash(hashed(ME).upper(), ME)) == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert (
        await code(api.owner, {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": hashed(ME)}}})
        == "PERSISTED_QUERY_NOT_SUPPORTED"
    )
    for nonsense in (5, {}, {"version": "1", "sha256Hash": hashed(ME)}, {"version": 1, "sha256Hash": 5}):
        assert await code(api.owner, {"query": ME, "extensions": {"persistedQuery": nonsense}}) == "INVALID_INPUT"
    assert await code(api.owner, {}) == "INVALID_INPUT"
    assert await code(api.owner, {"documentId": "me"}) == "DOCUMENT_NOT_FOUND"


async def test_only_what_is_valid_and_whoever_is_logged_in_is_remembered(api: Api) -> None:
    for person, query in ((api.anonymous, "{__typename} # 5"), (api.owner, "{nothing} # 5"), (api.owner, "{")):
        await person.post("/graphql", by_hash(hashed(query), query))
        assert await code(api.owner, by_hash(hashed(query))) == "PERSISTED_QUERY_NOT_FOUND"
    assert await valkey.client().hkeys(TEXTS) == []
    query = "{__typename} # 6"
    await api.owner.post("/graphql", by_hash(hashed(query), query))
    assert await valkey.client().hkeys(TEXTS) == [hashed(query).encode()]
    assert (await api.anonymous.post("/graphql", by_hash(hashed(query)))).json() == {"data": {"__typename": "Query"}}


async def test_a_mutation_by_its_hash_is_not_run_by_a_get(api: Api) -> None:
    query = 'mutation {createProject(input: {name: "Hashed"}) {name}}'
    assert (await api.owner.post("/graphql", by_hash(hashed(query), query))).json()["data"] == {"createProject": {"name": "Hashed"}}
    answer = await api.owner.get("/graphql", params={"extensions": json.dumps(by_hash(hashed(query))["extensions"])})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


async def test_what_a_process_remembers_has_an_end(api: Api) -> None:
    known, context = Persisted(None), Context()
    context.user, context.session_id = await tokens.caller_of(api.owner.token)
    for number in range(60):
        query = fresh(number) + "x" * 20_000
        await known.keep(Asking(query, extensions=by_hash(hashed(query))["extensions"]), context)
    assert KEPT - 30_000 < known._known.weight <= KEPT


async def test_what_all_gateways_remember_has_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persisted, "STORED", 100_000)
    context, queries = Context(), [fresh(number) + "é" * 10_000 for number in range(10)]
    context.user, context.session_id = await tokens.caller_of(api.owner.token)
    for query in queries:
        await Persisted(None).keep(Asking(query, extensions=by_hash(hashed(query))["extensions"]), context)
        await Persisted(None).resolved(Asking(extensions=by_hash(hashed(queries[0]))["extensions"]))
    kept = {each.decode() for each in await valkey.client().hkeys(TEXTS)}
    assert kept == {hashed(queries[0]), *(hashed(each) for each in queries[-3:])}, "20 kB each, and the first is asked for all the while"
    weights = [await valkey.client().hstrlen(TEXTS, each) + persisted.EVERY_ENTRY for each in kept]
    assert int(await valkey.client().get(persisted.WEIGHT)) == sum(weights)


HELLO = "query Hello {me {username}}"
LIST = {"hello": HELLO, hashed(ME): ME}


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


async def test_a_gateway_with_a_list_runs_nothing_else(api: Api, stack: Stack, tmp_path: Path) -> None:
    path = written(tmp_path / "documents.json", LIST)
    async with gateways(stack, 1, DOKPLOY_GRAPHQL_DOCUMENTS=str(path)) as (gateway,), browser(gateway) as client:
        owner = Person(client, "owner", token=api.owner.token)
        for given in (
            {"documentId": "hello"},
            by_hash(hashed(ME)),
            {"query": HELLO},
            {"query": ME, "documentId": hashed(ME)},
            by_hash(hashed(HELLO)),
            {"documentId": f"sha256:{hashed(HELLO)}"},
        ):
            assert (await owner.post("/graphql", given)).json() == FOUND
        assert (await owner.get("/graphql", params={"documentId": "hello"})).json() == FOUND
        assert await code(owner, {"query": "{__typename}"}) == "DOCUMENT_NOT_ALLOWED"
        assert await code(owner, {"query": f"{ME} "}) == "DOCUMENT_NOT_ALLOWED"
        assert await code(owner, {"documentId": "bye"}) == "DOCUMENT_NOT_FOUND"
        assert await code(owner, {"documentId": "hello", "query": ME}) == "DOCUMENT_NOT_FOUND"
        assert await code(owner, by_hash(hashed("{__typename}"), "{__typename}")) == "DOCUMENT_NOT_FOUND"
        assert await code(owner, {}) == "DOCUMENT_NOT_ALLOWED"
        assert (await owner.get("/projects")).status_code == 200


def test_a_list_is_also_a_manifest_of_apollo(tmp_path: Path) -> None:
    operation = {"id": hashed(HELLO), "name": "Hello", "type": "query", "body": HELLO}
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    assert listed(written(tmp_path / "manifest.json", manifest), surface().catalog, DocumentLimits()) == {hashed(HELLO): HELLO}
    assert listed(None, surface().catalog, DocumentLimits()) is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "Input data was truncated"),
        ("[]", "holds neither"),
        ("5", "holds neither"),
        ({"a": 5}, "Expected `str`, got `int`"),
        ({"a": "{"}, "a: Syntax Error"),
        ({"a": "{nothing}"}, "a: Cannot query field 'nothing'"),
        ({"a": ME, hashed(HELLO): ME}, "is not the hash of its document"),
        ({"format": "apollo-persisted-query-manifest"}, "holds neither"),
        ({"format": "apollo-persisted-query-manifest", "operations": [{"id": 5, "body": ME}]}, "Expected `str`, got `int`"),
    ],
)
def test_a_list_that_cannot_be_used_keeps_the_gateway_from_starting(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(BadList, match=sentence):
        listed(written(tmp_path / "documents.json", content), surface().catalog, DocumentLimits())


async def test_a_gateway_without_its_list_says_so(stack: Stack, tmp_path: Path) -> None:
    command = stack.command("gateway", gateway_argv(CLI, "127.0.0.1", free_port("127.0.0.1", 0)))
    environment = {**(command.env or {}), "DOKPLOY_GRAPHQL_DOCUMENTS": str(tmp_path / "nowhere.json")}
    process = await asyncio.create_subprocess_exec(*command.argv, env=environment, stderr=asyncio.subprocess.PIPE)
    _, told = await process.communicate()
    assert process.returncode == 1
    assert told.decode() == f"dokploy: DOKPLOY_GRAPHQL_DOCUMENTS: {tmp_path}/nowhere.json: No such file or directory\n"
