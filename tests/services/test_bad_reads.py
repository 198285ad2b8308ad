"""Bad input to reads: one standard code over REST and GraphQL, the field in the transport's own word, and nothing of the inside."""

import base64
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest

import models
from models.database import database
from schema.surface import surface
from tests.services.asking import Transport
from tests.services.conftest import Api, Person, _registered

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
WORDS: dict[Transport, dict[str, str]] = {"rest": {"size": "limit"}, "graphql": {"size": "first", "cursor": "after"}}
INSIDE = ("Traceback", 'File "', "Error(", "asyncpg", "msgspec", "binascii", "sys.", "select ", " object at 0x", "Did you mean")
DEEP = b"[" * 5000


class Refusal(NamedTuple):
    """How a read was refused: its code, and the constraint of each problem by its field."""

    code: str
    fields: dict[str, str]


@pytest.fixture(scope="module")
async def api(gateway: httpx2.AsyncClient) -> Api:
    """Two projects and two applications for all tests here: nothing that is refused changes them."""
    await database().execute_script("truncate account, team, project cascade")
    found = Api(gateway, await _registered(gateway, "owner"))
    projects = [await found.project() for _ in range(2)]
    for _ in range(2):
        await found.application(projects[0])
    return found


def wrong(over: Transport, name: str, constraint: str) -> Refusal:
    return Refusal("VALIDATION_ERROR", {WORDS[over].get(name, name): constraint})


async def read(over: Transport, person: Person, chapter: str = "applications", **arguments: Any) -> httpx2.Response:
    """Ask for a list; `size` and `cursor` are what each transport calls them."""
    given = {WORDS[over].get(name, name): value for name, value in arguments.items()}
    if over == "rest":
        return await person.get(f"/{chapter}", params=given)
    types = surface().catalog.root("query").fields[chapter].args
    declared = ", ".join(f"${name}: {types[name].type}" for name in given)
    passed = ", ".join(f"{name}: ${name}" for name in given)
    query = f"query({declared}) {{ {chapter}({passed}) {{ nodes {{ id }} pageInfo {{ endCursor }} }} }}"
    return await person.post("/graphql", {"query": query, "variables": given})


def refusal(answer: httpx2.Response) -> Refusal:
    """What a refused request says, whichever transport it came over; nothing was answered, and nothing of the inside is told."""
    body = answer.json()
    if "errors" not in body and "error" not in body:
        return Refusal("nothing was refused", {})
    error = body["errors"][0]["extensions"] if "errors" in body else body["error"]
    found = Refusal(error["code"], {each["field"]: each["constraint"] for each in error["details"].get("errors", ())})
    assert (answer.status_code, "data" in body, [each for each in INSIDE if each in answer.text]) == (400, False, []), found
    return found


async def refused(over: Transport, api: Api, chapter: str = "applications", **arguments: Any) -> Refusal:
    return refusal(await read(over, api.owner, chapter, **arguments))


async def document(api: Api, query: str, **variables: Any) -> Refusal:
    return refusal(await api.owner.post("/graphql", {"query": query, "variables": variables}))


async def cursor(over: Transport, api: Api, chapter: str = "applications") -> str:
    """The cursor behind the first of two rows."""
    body = (await read(over, api.owner, chapter, size=1)).json()
    return str(body["pagination"]["nextCursor"] if over == "rest" else body["data"][chapter]["pageInfo"]["endCursor"])


def opened(text: str) -> dict[str, Any]:
    return dict(msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def sealed(content: Any) -> str:
    raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def all_refused(over: Transport, api: Api, *cursors: str) -> None:
    """No cursor is taken, and each one is refused in the same way."""
    found = {text: await refused(over, api, size=1, cursor=text) for text in cursors}
    assert found == dict.fromkeys(found, wrong(over, "cursor", "cursor"))


@BOTH
async def test_a_cursor_of_the_list_is_taken_and_shows_nobody_elses_rows(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    assert sealed(opened(place)) == place, "what is forged below differs in what was forged alone"
    assert '"id"' in (await read(over, api.owner, cursor=place)).text
    assert '"id"' not in (await read(over, await api.person(), cursor=place)).text


@BOTH
async def test_a_cursor_of_another_list_is_refused(api: Api, over: Transport) -> None:
    await all_refused(over, api, await cursor(over, api, "projects"))


@BOTH
@pytest.mark.parametrize("other", [{"sort": "name"}, {"sort": "updatedAt"}, {"order": "asc"}], ids=str)
async def test_a_cursor_of_another_sort_is_refused(api: Api, over: Transport, other: dict[str, str]) -> None:
    assert await refused(over, api, cursor=await cursor(over, api), **other) == wrong(over, "cursor", "cursor")


@BOTH
async def test_a_truncated_cursor_is_refused(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    await all_refused(over, api, *[place[:length] for length in (0, 1, 2, 3, 4, 17, len(place) // 2, -4, -3, -2, -1)])


@BOTH
async def test_a_cursor_with_extra_or_missing_keys_is_refused(api: Api, over: Transport) -> None:
    place = opened(await cursor(over, api))
    fewer = [{name: value for name, value in place.items() if name != without} for without in place]
    others: list[Any] = [[place], list(place.values()), "f", 5, None, b"", b"{", b"\xff\xfe", b'{"way":' + b"9" * 5000]
    await all_refused(over, api, *map(sealed, [place | {"extra": 1}, place | {"role": "owner"}, *fewer, *others]))


@BOTH
@pytest.mark.parametrize("name", ["of", "sort", "key", "id", "way"])
async def test_a_cursor_whose_values_have_another_type_is_refused(api: Api, over: Transport, name: str) -> None:
    place = opened(await cursor(over, api))
    junk = {"key": ["x", "\0", "0001-01-01T00:00:00+14:00"], "id": ["x", ""]}.get(name, [])
    await all_refused(over, api, *[sealed(place | {name: value}) for value in (5, 1.5, True, [], {}, ["x"], *junk)])


@BOTH
async def test_a_cursor_that_no_page_has_written_is_refused(api: Api, over: Transport) -> None:
    place = opened(await cursor(over, api))
    key, id = place["key"], place["id"]
    odd = [{"key": None}, {"key": key.removesuffix("+00:00")}, {"key": key.replace("T", " ")}, {"id": id.replace("-", "")}, {"way": "x"}]
    taken = [each for each in odd if await refused(over, api, cursor=sealed(place | each)) != wrong(over, "cursor", "cursor")]
    assert taken == []


@BOTH
async def test_a_cursor_of_deeply_nested_json_is_refused(api: Api, over: Transport) -> None:
    await all_refused(over, api, sealed(DEEP), sealed(b'{"of":"Query.applications","extra":' + DEEP))


@BOTH
async def test_a_cursor_that_is_no_base64_is_refused(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    around = [f"{place}=", f"{place}\n", f" {place}", place.replace("e", "%", 1)]
    await all_refused(over, api, "!!!!", "é", "a", "=", "    ", "+/+/", "A" * 9000, *around)


@BOTH
async def test_a_page_of_an_impossible_size_is_refused(api: Api, over: Transport) -> None:
    found = {size: await refused(over, api, size=size) for size in (0, -1, 101, 2**31 - 1)}
    assert found == dict.fromkeys(found, wrong(over, "size", "range"))
    assert {(await refused(over, api, size=size)).code for size in (2**31, 10**30)} == {"VALIDATION_ERROR"}


WRONG = [("size", "abc", "type"), ("size", "1.5", "type"), ("projectId", "junk", "type"), ("createdFrom", "yesterday", "time")]
WRONG += [("status", "unknown", "enum"), ("statusIn", "unknown", "enum"), ("sort", "replicas", "enum"), ("sort", "created_at", "enum")]
WRONG += [("order", "sideways", "enum"), ("search", "a\0b", "text"), ("search", "a" * 256, "length")]


@BOTH
@pytest.mark.parametrize(("name", "value", "constraint"), WRONG)
async def test_a_value_of_the_wrong_type_is_refused(api: Api, over: Transport, name: str, value: str, constraint: str) -> None:
    found, told = await refused(over, api, **{name: value}), wrong(over, name, constraint)
    assert found in ((told,) if over == "rest" else (told, Refusal(told.code, {}))), "what GraphQL coerces is told in its message"


@BOTH
async def test_an_id_in_another_spelling_is_refused(api: Api, over: Transport) -> None:
    id = (await api.owner.get("/projects")).json()["data"][0]["id"]
    found = {each: await refused(over, api, projectId=each) for each in (id.replace("-", ""), f"{{{id}}}", f"urn:uuid:{id}", f"{id} ")}
    assert found == dict.fromkeys(found, wrong(over, "projectId", "type"))


async def test_an_argument_that_is_unknown_or_given_twice_is_refused(api: Api) -> None:
    rest = ("first=1", "after=x", "page=2", "limit=1&limit=2", "project_id=x")
    found = {each: refusal(await api.owner.get(f"/applications?{each}")).code for each in rest}
    graphql = ("limit: 1", 'cursor: "x"', "page: 2", "first: 1, first: 2", 'project_id: "x"')
    found |= {each: (await document(api, f"{{applications({each}) {{totalCount}}}}")).code for each in graphql}
    assert found == dict.fromkeys(found, "VALIDATION_ERROR")


@pytest.mark.parametrize("given", ["first: 1, last: 1", 'first: 1, before: "x"', 'after: "x", last: 1', 'after: "x", before: "y"'])
async def test_first_and_last_together_are_refused(api: Api, given: str) -> None:
    assert await document(api, f"{{applications({given}) {{totalCount}}}}") == wrong("graphql", "last", "exclusive")


async def test_a_page_backwards_is_refused_in_its_own_words(api: Api) -> None:
    query = "query($n: Int, $c: String) {applications(last: $n, before: $c) {totalCount}}"
    for size in (0, -1, 101):
        assert await document(api, query, n=size) == wrong("graphql", "last", "range")
    assert await document(api, query, c=await cursor("graphql", api, "projects")) == wrong("graphql", "before", "cursor")


@pytest.mark.parametrize("name", ["first", "after", "status", "statusIn", "createdFrom", "projectId", "search", "sort", "order"])
async def test_a_variable_of_the_wrong_type_is_refused(api: Api, name: str) -> None:
    kind = surface().catalog.root("query").fields["applications"].args[name].type
    values: list[Any] = [1.5, True, [[]], {}, {"a": 1}, "x" if name != "search" else 5]
    for value in values:
        assert (await document(api, f"query($v: {kind}) {{applications({name}: $v) {{totalCount}}}}", v=value)).code == "VALIDATION_ERROR"


async def test_a_literal_of_the_wrong_type_is_refused(api: Api) -> None:
    given = ["first: 1.5", f"first: {'9' * 5000}", "after: 5", "status: unknown", 'createdFrom: "yesterday"', "createdTo: 5", "sort: up"]
    found = {each[:40]: (await document(api, f"{{applications({each}) {{totalCount}}}}")).code for each in given}
    assert found == dict.fromkeys(found, "VALIDATION_ERROR")


async def test_variables_that_are_nested_too_deeply_are_refused(api: Api) -> None:
    variables = '{"n":' + DEEP.decode() + "}"
    body = '{"query":"{__typename}","variables":' + variables + "}"
    assert (
        refusal(await api.owner.call("POST", "/graphql", content=body, headers={"Content-Type": "application/json"})).code
        == "INVALID_INPUT"
    )
    assert refusal(await api.owner.get("/graphql", params={"query": "{__typename}", "variables": variables})).code == "INVALID_INPUT"


@pytest.mark.parametrize(("outer", "inner"), [("projects", "applications"), ("applications", "deployments")])
async def test_a_cursor_of_the_outer_list_is_refused_by_the_inner_one(api: Api, outer: str, inner: str) -> None:
    query = f"query($c: String) {{{outer} {{nodes {{{inner}(first: 1, after: $c) {{totalCount}}}}}}}}"
    assert await document(api, query, c=await cursor("graphql", api, outer)) == wrong("graphql", "cursor", "cursor")
    assert await document(api, query, c=await cursor("graphql", api, "applications")) == wrong("graphql", "cursor", "cursor")


async def test_a_cursor_of_the_inner_list_is_refused_by_the_outer_one(api: Api) -> None:
    body = await api.owner.graphql("{projects(order: asc) {nodes {applications(first: 1) {pageInfo {endCursor}}}}}")
    place = body["data"]["projects"]["nodes"][0]["applications"]["pageInfo"]["endCursor"]
    await all_refused("graphql", api, place)
    assert "errors" not in await api.owner.graphql("query($c: String) {projects {nodes {applications(after: $c) {totalCount}}}}", c=place)


@pytest.mark.parametrize("bad", ["first: 0", 'after: "junk"', 'search: "\\u0000"', 'first: 1, before: "x"'])
async def test_one_bad_argument_refuses_a_document_before_anything_runs(api: Api, bad: str) -> None:
    reads = await document(api, f"{{me {{id}} projects {{totalCount nodes {{applications({bad}) {{totalCount}}}}}}}}")
    made = f'createProject(input: {{name: "Other"}}) {{id applications({bad}) {{totalCount}}}}'
    changes = await document(api, f'mutation {{a: createProject(input: {{name: "Made"}}) {{id}} b: {made}}}')
    left = await models.Project.filter(name__in=["Made", "Other"]).delete()
    assert (reads.code, changes.code, left) == ("VALIDATION_ERROR", "VALIDATION_ERROR", 0)
