"""What holds for every request: the envelope, bodies, versions, GraphQL over HTTP."""

import json

import pytest

from tests.services.conftest import Api


async def test_health_needs_nobody(api: Api) -> None:
    body = (await api.anonymous.get("/health")).json()
    assert (body["status"], body["database"], body["queue"]) == ("ok", "ok", "ok")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/v2/projects", 404, "RESOURCE_NOT_FOUND"),
        ("PUT", "/projects", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/projects", 401, "UNAUTHORIZED"),
    ],
)
async def test_every_error_has_the_standard_envelope(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = await api.anonymous.call(method, path, headers={"X-Request-ID": "sane-1"})
    error = answer.json()["error"]
    assert answer.status_code == status
    assert set(error) == {"code", "message", "details", "timestamp", "requestId"}
    assert (error["code"], error["requestId"]) == (code, "sane-1")
    assert answer.headers["X-Request-ID"] == "sane-1"
    assert error["timestamp"].endswith("Z")
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", "é"])
async def test_an_insane_request_id_is_replaced(api: Api, given: str) -> None:
    answer = await api.anonymous.get("/health", headers={"X-Request-ID": given.encode()})
    assert answer.headers["X-Request-ID"].startswith("req-")


async def test_v1_answers_identically(api: Api) -> None:
    project = await api.project()
    plain, versioned = await api.owner.get(f"/projects/{project['id']}"), await api.owner.get(f"/v1/projects/{project['id']}")
    assert plain.json() == versioned.json()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "INVALID_INPUT"),
        (b"[]", 400, "INVALID_INPUT"),
        (b"null", 400, "INVALID_INPUT"),
        (b'{"name": "Abc", "name": "Abd"}', 400, "INVALID_INPUT"),
        (b'{"name": NaN}', 400, "INVALID_INPUT"),
        (b'{"name": "\xff"}', 400, "INVALID_INPUT"),
        (b'{"name": "\\ud800abc"}', 400, "INVALID_INPUT"),
        (b'{"name": "abc\\u0000"}', 400, "VALIDATION_ERROR"),
        (b"[" * 100_000, 400, "INVALID_INPUT"),
        (b'{"a":' * 100_000, 400, "INVALID_INPUT"),
        (b" " * (1024 * 1024 + 1), 413, "PAYLOAD_TOO_LARGE"),
        (b"", 400, "VALIDATION_ERROR"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_body_is_strict_json(api: Api, body: bytes, status: int, code: str) -> None:
    answer = await api.owner.call("POST", "/projects", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_another_content_type_is_415(api: Api) -> None:
    answer = await api.owner.call("POST", "/projects", content=b"name=abc", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_anonymous_callers_of_graphql_see_no_schema_and_no_suggestions(api: Api) -> None:
    body = await api.anonymous.graphql("{ __schema { types { name } } }")
    assert "data" not in body
    body = await api.owner.graphql("{ __schema { queryType { name } } }")
    assert body["data"]["__schema"]["queryType"]["name"] == "Query"
    body = await api.owner.graphql("{ projekts { nodes { id } } }")
    assert "Did you mean" not in json.dumps(body)
    assert (await api.anonymous.graphql("{ __typename }"))["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "INVALID_INPUT"),
        ("{ nothing }", "VALIDATION_ERROR"),
        ("query A { __typename } query B { __typename }", "INVALID_INPUT"),
        ("{ project { id } }", "VALIDATION_ERROR"),
        ('{ projects(first: "x") { totalCount } }', "VALIDATION_ERROR"),
        ("{ " + "a: __typename " * 6000 + "}", "LENGTH_LIMIT_EXCEEDED"),
        ("subscription { deploymentEvents(deploymentId: 1) { nothing } }", "VALIDATION_ERROR"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_document_that_cannot_be_run_is_400_with_its_code(api: Api, query: str, code: str) -> None:
    answer = await api.owner.post("/graphql", {"query": query})
    body = answer.json()
    assert answer.status_code == 400
    found = body["errors"][0]["extensions"]["code"] if "errors" in body else body["error"]["code"]
    assert found == code


async def test_one_of_several_operations_runs_by_its_name(api: Api) -> None:
    query = "query A { a: __typename } query B { b: __typename }"
    body = (await api.owner.post("/graphql", {"query": query, "operationName": "B"})).json()
    assert body["data"] == {"b": "Query"}


async def test_a_get_runs_queries_only(api: Api) -> None:
    assert (await api.owner.get("/graphql?query={__typename}")).json()["data"] == {"__typename": "Query"}
    assert (await api.owner.get("/graphql?query=mutation{logout}")).status_code == 405
    assert (await api.owner.get("/graphql")).status_code == 400


async def test_a_variable_of_the_wrong_type_is_named(api: Api) -> None:
    body = await api.owner.graphql("query ($n: Int) { projects(first: $n) { totalCount } }", n="x")
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"
    for size in (0, 101, -1):
        body = await api.owner.graphql("query ($n: Int) { projects(first: $n) { totalCount } }", n=size)
        assert body["errors"][0]["extensions"]["details"]["errors"][0]["field"] == "first"


async def test_relations_are_fields_in_graphql(api: Api) -> None:
    project = await api.project()
    made = await api.application(project)
    query = """query ($id: ID!) { application(id: $id) { name project { name owner { username }
      applications { nodes { id } totalCount } statistics { applicationCount } } deployments(first: 1) { totalCount } } }"""
    found = (await api.owner.graphql(query, id=made["id"]))["data"]["application"]
    assert found["project"]["owner"] == {"username": "owner"}
    assert found["project"]["applications"] == {"nodes": [{"id": made["id"]}], "totalCount": 1}
    assert found["deployments"] == {"totalCount": 0}
