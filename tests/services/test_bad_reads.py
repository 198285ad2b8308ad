"""Bad input to reads: one standard code over REST and GraphQL, the field in the transport's own word, and nothing of the inside."""

import base64
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec
import pytest

import models
from schema.surface import surface
from tests.services.asking import Transport
from tests.services.conftest import Api, Person

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
WORDS: dict[Transport, dict[str, str]] = {"rest": {"size": "limit"}, "graphql": {"size": "first", "cursor": "after"}}
INSIDE = ("Traceback", 'File "', "Error(", "asyncpg", "msgspec", "binascii", "select ", " object at 0x", "Did you mean")
DEEP = b"[" * 5000


@dataclass(frozen=True)
class Refusal:
    """How a read was refused: its code, and the constraint of each problem by its field."""

    code: str
    fields: dict[str, str]


def word(over: Transport, name: str) -> str:
    return WORDS[over].get(name, name)


async def read(over: Transport, person: Person, chapter: str = "applications", **arguments: Any) -> httpx2.Response:
    """Ask for a list; `size` and `cursor` are what each transport calls them."""
    given = {word(over, name): value for name, value in arguments.items()}
    if over == "rest":
        return await person.get(f"/{chapter}", params=given)
    types = surface().catalog.root("query").fields[chapter].args
    declared = f"({', '.join(f'${name}: {types[name].type}' for name in given)})" if given else ""
    passed = f"({', '.join(f'{name}: ${name}' for name in given)})" if given else ""
    query = f"query{declared} {{ {chapter}{passed} {{ nodes {{ id }} pageInfo {{ endCursor }} totalCount }} }}"
    return await person.post("/graphql", {"query": query, "variables": given})


def refusal(answer: httpx2.Response) -> Refusal:
    """What a refused request says, whichever transport it came over; nothing was answered, and nothing of the inside is told."""
    body = answer.json()
    assert answer.status_code == 400, answer.text
    assert "data" not in body
    assert not [each for each in INSIDE if each in answer.text]
    error = body["errors"][0]["extensions"] if "errors" in body else body["error"]
    return Refusal(error["code"], {each["field"]: each["constraint"] for each in error["details"].get("errors", ())})


async def refused(over: Transport, person: Person, chapter: str = "applications", **arguments: Any) -> Refusal:
    return refusal(await read(over, person, chapter, **arguments))


async def documents_refused(api: Api, query: str, **variables: Any) -> Refusal:
    return refusal(await api.owner.post("/graphql", {"query": query, "variables": variables}))


async def cursor(over: Transport, api: Api, chapter: str = "applications", **arguments: Any) -> str:
    """The cursor behind the first of two rows."""
    project = await api.project()
    await api.project()
    for _ in range(2):
        await api.application(project)
    body = (await read(over, api.owner, chapter, size=1, **arguments)).json()
    found: str = body["pagination"]["nextCursor"] if over == "rest" else body["data"][chapter]["pageInfo"]["endCursor"]
    return found


def opened(text: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def sealed(content: Any) -> str:
    raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def of_cursor(over: Transport) -> Refusal:
    return Refusal("VALIDATION_ERROR", {word(over, "cursor"): "cursor"})


@BOTH
async def test_a_cursor_of_the_list_is_taken_and_shows_nobody_elses_rows(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    assert sealed(opened(place)) == place
    assert (await read(over, api.owner, cursor=place)).status_code == 200
    stranger = (await read(over, await api.person(), cursor=place)).json()
    page = stranger if over == "rest" else stranger["data"]["applications"]
    assert (page["data"], page["pagination"]["total"]) == ([], 0) if over == "rest" else (page["nodes"], page["totalCount"]) == ([], 0)


@BOTH
async def test_a_cursor_of_another_list_is_refused(api: Api, over: Transport) -> None:
    assert await refused(over, api.owner, cursor=await cursor(over, api, "projects")) == of_cursor(over)


@BOTH
async def test_a_cursor_of_another_sort_is_refused(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    for other in ({"sort": "name"}, {"sort": "updatedAt"}, {"order": "asc"}, {"sort": "createdAt", "order": "asc"}):
        assert await refused(over, api.owner, cursor=place, **other) == of_cursor(over)


@BOTH
async def test_a_cursor_truncated_anywhere_is_refused(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    for length in (0, 1, 2, 3, 4, 17, len(place) // 2, len(place) - 4, len(place) - 2, len(place) - 1):
        assert await refused(over, api.owner, cursor=place[:length]) == of_cursor(over), length


@BOTH
async def test_a_cursor_with_extra_or_missing_keys_is_refused(api: Api, over: Transport) -> None:
    place = opened(await cursor(over, api))
    fewer = [{name: value for name, value in place.items() if name != without} for without in place]
    for forged in (place | {"extra": 1}, place | {"role": "owner"}, *fewer):
        assert await refused(over, api.owner, cursor=sealed(forged)) == of_cursor(over), forged


@BOTH
@pytest.mark.parametrize("name", ["of", "sort", "key", "id", "way"])
async def test_a_cursor_whose_values_have_another_type_is_refused(api: Api, over: Transport, name: str) -> None:
    place = opened(await cursor(over, api))
    others: list[Any] = [5, 1.5, True, [], {}, ["x"]]
    others += {"key": ["junk", "\0", "0001-01-01T00:00:00+14:00"], "id": [None, "junk", ""]}.get(name, [None, "\0"])
    for value in others:
        assert await refused(over, api.owner, cursor=sealed(place | {name: value})) == of_cursor(over), value


@BOTH
async def test_a_cursor_that_is_no_object_is_refused(api: Api, over: Transport) -> None:
    place = opened(await cursor(over, api))
    for content in ([place], list(place.values()), "f", 5, None, b"", b"{", b"\xff\xfe", b'{"way":' + b"9" * 5000 + b"}"):
        assert await refused(over, api.owner, cursor=sealed(content)) == of_cursor(over), content


@BOTH
@pytest.mark.parametrize("opening", [b"", b'{"way":', b'{"of":"Query.applications","extra":'], ids=["bare", "as a value", "as an extra"])
async def test_a_cursor_of_deeply_nested_json_is_refused(api: Api, over: Transport, opening: bytes) -> None:
    assert await refused(over, api.owner, cursor=sealed(opening + DEEP)) == of_cursor(over)


@BOTH
@pytest.mark.parametrize(
    "name", ["a null where the sort has none", "a time without a zone", "a time written otherwise", "an id without hyphens"]
)
async def test_a_cursor_that_no_page_has_written_is_refused(api: Api, over: Transport, name: str) -> None:
    place = opened(await cursor(over, api))
    forged = {
        "a null where the sort has none": {"key": None},
        "a time without a zone": {"key": place["key"].removesuffix("+00:00")},
        "a time written otherwise": {"key": place["key"].replace("T", " ")},
        "an id without hyphens": {"id": place["id"].replace("-", "")},
    }
    assert await refused(over, api.owner, cursor=sealed(place | forged[name])) == of_cursor(over)


@BOTH
async def test_a_cursor_that_is_no_base64_is_refused(api: Api, over: Transport) -> None:
    place = await cursor(over, api)
    for text in ("!!!!", "é", "a", "=", "    ", "+/+/", f"{place}=", f"{place}\n", f" {place}", place.replace("e", "%", 1), "A" * 9000):
        assert await refused(over, api.owner, cursor=text) == of_cursor(over), text


@BOTH
async def test_a_page_of_an_impossible_size_is_refused(api: Api, over: Transport) -> None:
    for size in (0, -1, 101, 2**31 - 1):
        assert await refused(over, api.owner, size=size) == Refusal("VALIDATION_ERROR", {word(over, "size"): "range"}), size
    for size in (2**31, 10**30):
        assert (await refused(over, api.owner, size=size)).code == "VALIDATION_ERROR"


@BOTH
@pytest.mark.parametrize(
    ("name", "value", "constraint"),
    [
        ("size", "abc", "type"),
        ("size", 1.5, "type"),
        ("createdFrom", "yesterday", "time"),
        ("createdTo", "2024-13-01T00:00:00Z", "time"),
        ("status", "unknown", "enum"),
        ("statusIn", ["running", "unknown"], "enum"),
        ("projectId", "junk", "type"),
        ("sort", "replicas", "enum"),
        ("sort", "created_at", "enum"),
        ("order", "sideways", "enum"),
        ("search", "a\0b", "text"),
    ],
)
async def test_a_value_of_the_wrong_type_is_refused(api: Api, over: Transport, name: str, value: Any, constraint: str) -> None:
    found = await refused(over, api.owner, **{name: value})
    told = {word(over, name): constraint}
    assert found.code == "VALIDATION_ERROR"
    assert found.fields == told if over == "rest" else found.fields in ({}, told)


@BOTH
@pytest.mark.parametrize("spelling", ["{hex}", "{{{id}}}", "urn:uuid:{id}", "{id} ", "{upper}"])
async def test_an_id_is_spelled_the_same_over_both(api: Api, over: Transport, spelling: str) -> None:
    id = (await api.project())["id"]
    answer = await read(over, api.owner, projectId=spelling.format(id=id, hex=id.replace("-", ""), upper=id.upper()))
    if spelling == "{upper}":
        assert answer.status_code == 200
    else:
        assert refusal(answer) == Refusal("VALIDATION_ERROR", {"projectId": "type"})


async def test_an_argument_that_is_unknown_or_given_twice_is_refused(api: Api) -> None:
    for path in ("?first=1", "?after=x", "?page=2", "?limit=1&limit=2", "?sort=name&sort=name", "?project_id=x"):
        assert refusal(await api.owner.get(f"/applications{path}")).code == "VALIDATION_ERROR"
    for given in ("limit: 1", 'cursor: "x"', "page: 2", "first: 1, first: 2", "sort: name, sort: name", 'project_id: "x"'):
        assert (await documents_refused(api, f"{{applications({given}) {{totalCount}}}}")).code == "VALIDATION_ERROR"


async def test_first_and_last_together_are_refused(api: Api) -> None:
    for given in ("first: 1, last: 1", 'first: 1, before: "x"', 'after: "x", last: 1', 'after: "x", before: "y"', "first: 0, last: 0"):
        found = await documents_refused(api, f"{{applications({given}) {{totalCount}}}}")
        assert found == Refusal("VALIDATION_ERROR", {"last": "exclusive"}), given


async def test_a_page_backwards_is_refused_in_its_own_words(api: Api) -> None:
    for size in (0, -1, 101):
        found = await documents_refused(api, "query($n: Int) {applications(last: $n) {totalCount}}", n=size)
        assert found == Refusal("VALIDATION_ERROR", {"last": "range"})
    place = await cursor("graphql", api, "projects")
    found = await documents_refused(api, "query($c: String) {applications(last: 1, before: $c) {totalCount}}", c=place)
    assert found == Refusal("VALIDATION_ERROR", {"before": "cursor"})


@pytest.mark.parametrize("name", ["first", "after", "status", "statusIn", "createdFrom", "projectId", "search", "sort", "order"])
async def test_a_variable_of_the_wrong_type_is_refused(api: Api, name: str) -> None:
    kind = surface().catalog.root("query").fields["applications"].args[name].type
    for value in (1.5, True, [[]], {}, {"a": 1}, "x" if name != "search" else 5):
        found = await documents_refused(api, f"query($v: {kind}) {{applications({name}: $v) {{totalCount}}}}", v=value)
        assert found.code == "VALIDATION_ERROR", value


@pytest.mark.parametrize(
    "given",
    ["first: 1.5", 'first: "1"', "first: 99999999999", f"first: {'9' * 5000}", "after: 5", "status: unknown", 'status: "running"']
    + ["statusIn: [running, null]", 'createdFrom: "yesterday"', "createdTo: 5", 'projectId: "junk"', "sort: created_at", "order: up"],
    ids=lambda given: given[:30],
)
async def test_a_literal_of_the_wrong_type_is_refused(api: Api, given: str) -> None:
    assert (await documents_refused(api, f"{{applications({given}) {{totalCount}}}}")).code == "VALIDATION_ERROR"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_variables_that_are_nested_too_deeply_are_refused(api: Api, method: str) -> None:
    variables = '{"n":' + DEEP.decode() + "}"
    if method == "GET":
        answer = await api.owner.get("/graphql", params={"query": "{__typename}", "variables": variables})
    else:
        body = '{"query":"{__typename}","variables":' + variables + "}"
        answer = await api.owner.call("POST", "/graphql", content=body, headers={"Content-Type": "application/json"})
    assert refusal(answer).code == "INVALID_INPUT"


@pytest.mark.parametrize("outer", ["projects", "applications"])
async def test_a_cursor_of_the_outer_list_is_refused_by_the_inner_one(api: Api, outer: str) -> None:
    inner = {"projects": "applications", "applications": "deployments"}[outer]
    query = f"query($c: String, $i: String) {{{outer}(after: $c) {{nodes {{{inner}(first: 1, after: $i) {{totalCount}}}}}}}}"
    for place in (await cursor("graphql", api, outer), await cursor("graphql", api)):
        assert await documents_refused(api, query, i=place) == of_cursor("graphql")


async def test_a_cursor_of_the_inner_list_is_refused_by_the_outer_one(api: Api) -> None:
    await api.application()
    body = await api.owner.graphql("{projects {nodes {applications(first: 1) {pageInfo {endCursor}}}}}")
    place = body["data"]["projects"]["nodes"][0]["applications"]["pageInfo"]["endCursor"]
    assert await documents_refused(api, "query($c: String) {applications(after: $c) {totalCount}}", c=place) == of_cursor("graphql")
    inner = "query($c: String) {projects {nodes {applications(after: $c) {totalCount}}}}"
    assert "errors" not in await api.owner.graphql(inner, c=place)


@pytest.mark.parametrize("bad", ["first: 0", 'after: "junk"', 'search: "\\u0000"', 'first: 1, before: "x"'])
async def test_one_bad_argument_refuses_the_document_before_anything_runs(api: Api, bad: str) -> None:
    reads = await documents_refused(api, f"{{me {{id}} projects {{totalCount nodes {{applications({bad}) {{totalCount}}}}}}}}")
    assert reads.code == "VALIDATION_ERROR"
    made = f'createProject(input: {{name: "Other"}}) {{id applications({bad}) {{totalCount}}}}'
    changes = await documents_refused(api, f'mutation {{a: createProject(input: {{name: "Made"}}) {{id}} b: {made}}}')
    assert (changes.code, await models.Project.all().count()) == ("VALIDATION_ERROR", 0)
