"""What a document may be and ask for, over HTTP and over a socket: each refusal has its code, and nothing has been done."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from graphql import get_introspection_query

from gateway.graphql import Asking, Runner
from models.document_limits import DocumentLimits
from models.settings import Settings, settings
from schema.context import Context
from schema.plan import execute
from schema.plan.document import MOST_PLANS
from schema.surface import surface
from tests.services.conftest import Api
from tests.services.test_websocket import opened

BEYOND = {
    "length": "{__typename} #" + "x" * 30_000,
    "tokens": "{" + " id" * 5_000 + "}",
    "aliases": "{" + " ".join(f"a{number}: __typename" for number in range(101)) + "}",
    "directives": "{" + " __typename @skip(if: false)" * 51 + "}",
    "fragments": "{" + "...F " * 101 + "} fragment F on Query {__typename}",
    "depth": "{projects" + " {nodes {applications {nodes {project" * 6 + " {id}" + "}}}}" * 6 + "}",
    "fields": "{" + "__typename " * 101 + "}",
    "values": "{projects(first: 100) {nodes {applications(first: 100) {nodes {" + " ".join(f"a{n}: id" for n in range(21)) + "}}}}}",
    "cost": "{projects(first: 100) {nodes {applications(first: 100) {nodes {deployments(first: 3) {nodes {id}}}}}}}",
}
Limit = Callable[..., DocumentLimits]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Set limits; the others stay what they are."""

    def set_to(**limits: Any) -> DocumentLimits:
        found = DocumentLimits(**limits)
        monkeypatch.setitem(settings().__dict__, "graphql_limits", found)
        return found

    return set_to


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan takes a while before it reads."""
    before = execute.called

    async def called(*arguments: Any) -> Any:
        await asyncio.sleep(0.2)
        return await before(*arguments)

    monkeypatch.setattr(execute, "called", called)


@pytest.mark.parametrize("name", BEYOND)
async def test_a_document_beyond_a_limit_is_refused(api: Api, name: str) -> None:
    answer = await api.owner.post("/graphql", {"query": BEYOND[name]})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (400, f"{name.upper()}_LIMIT_EXCEEDED")
    assert error["extensions"]["details"] == {"limit": getattr(DocumentLimits(), name)}


@pytest.mark.parametrize("name", BEYOND)
async def test_a_socket_refuses_it_too_and_stays_open(api: Api, server: str, name: str) -> None:
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("beyond", BEYOND[name])
        told = await socket.receive()
        assert (told["type"], [each["extensions"]["code"] for each in told["payload"]]) == ("error", [f"{name.upper()}_LIMIT_EXCEEDED"])
        await socket.subscribe("within", "{__typename}")
        assert await socket.until_complete("within") == [{"data": {"__typename": "Query"}}]


async def test_a_limit_can_be_set(api: Api, limit: Limit) -> None:
    limit(depth=2, cost=20)
    assert "errors" not in await api.owner.graphql("{projects(first: 20) {totalCount}}")
    assert await codes(api, "{projects {nodes {id}}}") == ["DEPTH_LIMIT_EXCEEDED"]
    assert await codes(api, "{projects(first: 21) {totalCount}}") == ["COST_LIMIT_EXCEEDED"]
    assert (await api.owner.get("/projects?limit=100")).status_code == 200, "REST asks for what is declared, and no more"


async def codes(api: Api, query: str) -> list[str]:
    return [each["extensions"]["code"] for each in (await api.owner.graphql(query))["errors"]]


async def test_what_a_mutation_shows_is_counted_before_anything_is_done(api: Api, limit: Limit) -> None:
    limit(cost=20)
    shown = "applications(first: 21) {nodes {id}}"
    assert await codes(api, f'mutation {{createProject(input: {{name: "Dear"}}) {{{shown}}}}}') == ["COST_LIMIT_EXCEEDED"]
    assert (await api.owner.get("/projects?search=Dear")).json()["data"] == []


async def test_what_is_told_of_the_schema_is_counted_before_it_is_told(api: Api) -> None:
    assert "errors" not in await api.owner.graphql(get_introspection_query(input_value_deprecation=True))
    repeated = " ".join(f"a{number}: fields {{type {{...F ofType {{...F}}}}}}" for number in range(4))
    deep = f"{{__schema {{types {{{repeated}}}}}}} fragment F on __Type {{" + " ".join(f"b{n}: fields {{name}}" for n in range(10)) + "}"
    assert await codes(api, deep) == ["VALUES_LIMIT_EXCEEDED"]
    by_name = " ".join(f'a{number}: __type(name: "Query") {{fields {{type {{fields {{name}}}}}}}}' for number in range(12))
    assert "errors" not in await api.owner.graphql(f"{{{by_name}}}")
    deeper = by_name.replace("{name}", "{name type {name kind ofType {name kind}}}")
    assert await codes(api, f"{{{deeper}}}") == ["VALUES_LIMIT_EXCEEDED"]


@pytest.mark.usefixtures("slow")
async def test_a_query_that_takes_too_long_is_given_up(api: Api, limit: Limit) -> None:
    query = "{projects {totalCount}}"
    limit(seconds=0.1)
    answer = await api.owner.post("/graphql", {"query": query})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (400, "SECONDS_LIMIT_EXCEEDED")
    limit(seconds=5)
    assert "errors" not in await api.owner.graphql(query)


@pytest.mark.usefixtures("slow")
async def test_a_mutation_that_takes_too_long_ends_what_it_has_begun_and_begins_nothing_more(api: Api, limit: Limit) -> None:
    limit(seconds=0.1)
    both = " ".join(f'{name}: createProject(input: {{name: "{name}"}}) {{name}}' for name in ("Early", "Late"))
    body = await api.owner.graphql(f"mutation {{{both}}}")
    (error,) = body["errors"]
    assert (error["path"], error["extensions"]["code"], body["data"]) == (["Late"], "SECONDS_LIMIT_EXCEEDED", None)
    assert [each["name"] for each in (await api.owner.get("/projects")).json()["data"]] == ["Early"]


async def test_only_numbers_that_are_sizes_of_pages_are_part_of_a_plan(api: Api) -> None:
    runner, context, long = Runner(surface()), Context(), "x" * 10_000
    for type_, value in (("ID!", long), ("[ID!]!", [long])):
        field = "node(id: $n)" if type_ == "ID!" else "nodes(ids: $n)"
        text = f"query A($n: Int) {{projects(first: $n) {{totalCount}}}} query B($n: {type_}) {{{field} {{id}}}}"
        document = runner._engine.document(text, "B")
        plans = {id(document.plan({"n": each}, execute.sight_of(context))) for each in (value, value * 2)}
        assert len(plans) == 1
    first = runner._engine.document("query ($n: Int) {projects(first: $n) {totalCount}}", None)
    assert len({id(first.plan({"n": size}, execute.sight_of(context))) for size in (1, 2)}) == 2


async def test_what_is_kept_of_documents_has_an_end(api: Api) -> None:
    runner, context = Runner(surface()), Context()
    engine = runner._engine
    for number in range(200):
        text = f"{{a{number}: __typename}} #" + "x" * 20_000
        runner.prepared(Asking(text), context).plan({}, execute.sight_of(context))
    assert execute.KEPT - 30_000 < engine._documents.weight <= execute.KEPT
    assert MOST_PLANS - 30_000 < engine._plans.weight <= MOST_PLANS
    assert runner.knows(Asking(text))
    assert not runner.knows(Asking("{a0: __typename} #" + "x" * 20_000))


def test_a_limit_that_makes_no_sense_keeps_the_gateway_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ('{"depth": 0}', '{"deepness": 5}', "[]", "5", "deep"):
        monkeypatch.setenv("DOKPLOY_GRAPHQL_LIMITS", text)
        with pytest.raises(ValueError, match="graphql_limits"):
            Settings()
    for text, limits in (('{"depth": 7}', DocumentLimits(depth=7)), ("", DocumentLimits())):
        monkeypatch.setenv("DOKPLOY_GRAPHQL_LIMITS", text)
        assert Settings().graphql_limits == limits
