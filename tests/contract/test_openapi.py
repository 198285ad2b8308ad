"""What the OpenAPI document promises of itself: examples that fit, errors in their envelope, links that lead somewhere."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.openapi import document
from gateway.openapi import examples as openapi_examples
from gateway.openapi.examples import MissingSample, example
from schema import errors
from schema.inputs import decoded
from schema.surface import surface
from tests.contract.answers import described

DOCUMENT = described()
OPERATIONS = {operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()}
BOUND = {bound.operation.id: bound for bound in surface().operations if bound.operation.follows is None}
DOWNLOADS = {id for id, bound in BOUND.items() if bound.operation.downloads}
REPEATABLE = {id for id, bound in BOUND.items() if bound.operation.repeatable}


def referred(value: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to; anything else is what it is."""
    found: Any = DOCUMENT
    for part in value.get("$ref", "#").split("/")[1:]:
        found = found[part]
    return value if found is DOCUMENT else found


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The contents of a request and of its answers, by status."""
    yield from (("request", content) for content in operation.get("requestBody", {}).get("content", {}).values())
    for status, response in operation["responses"].items():
        yield from ((status, content) for content in referred(response).get("content", {}).values())


def examples(content: dict[str, Any]) -> list[Any]:
    return [content["example"]] if "example" in content else [each["value"] for each in content["examples"].values()]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER)


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(each)


@pytest.mark.parametrize("id", OPERATIONS)
def test_every_body_has_examples_that_fit_its_schema(id: str) -> None:
    for where, content in contents(OPERATIONS[id]):
        assert examples(content), where
        for each in examples(content):
            validator(content["schema"]).validate(each)


@pytest.mark.parametrize("id", [id for id, bound in BOUND.items() if bound.operation.signature.input])
def test_the_example_of_a_request_is_taken_by_its_input(id: str) -> None:
    (given,) = (each for where, content in contents(OPERATIONS[id]) if where == "request" for each in examples(content))
    model = BOUND[id].operation.signature.input
    assert model is not None
    assert decoded(model, json.dumps(given).encode())
    assert set(given) == {field.alias for field in model.model_fields.values()}


def test_formats_are_really_checked() -> None:
    formats = {part["format"] for part in parts(DOCUMENT) if isinstance(part.get("format"), str)}
    assert formats >= {"uuid", "date-time", "uri-reference"}
    assert formats - {"binary"} <= set(Draft202012Validator.FORMAT_CHECKER.checkers)
    assert not validator({"type": "string", "format": "date-time"}).is_valid("yesterday")
    assert not validator({"type": "string", "format": "uri-reference"}).is_valid("not a path")


def test_every_sample_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()

    class Watched(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            used.add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(openapi_examples, "SAMPLES", Watched(openapi_examples.SAMPLES))
    document(surface())
    assert set(openapi_examples.SAMPLES) == used


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": "integer"}, {"anyOf": [{"type": "number"}, {"type": "null"}]}])
def test_a_field_without_a_sample_is_named(schema: dict[str, Any]) -> None:
    with pytest.raises(MissingSample, match=r"project\.shoeSize or shoeSize"):
        example({"type": "object", "properties": {"shoeSize": schema}}, {}, ("project",))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "enum": ["tall", "short"]}, "tall"),
        ({"type": "integer", "default": 7}, 7),
        ({"type": "boolean"}, False),
        ({"type": "string", "format": "date-time"}, "2024-12-30T10:00:00Z"),
        ({"type": "array", "items": {"type": "boolean"}}, [False]),
    ],
)
def test_a_type_that_suggests_a_value_needs_no_sample(schema: dict[str, Any], value: Any) -> None:
    assert example({"type": "object", "properties": {"shoeSize": schema}}, {}, ("project",)) == {"shoeSize": value}


def test_a_sample_that_an_enum_lacks_is_passed_over() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "enum": ["cloning", "building"]}}}
    assert example(schema, {}, ("stages",)) == {"name": "cloning"}


def test_every_error_of_the_api_is_listed() -> None:
    def below(error: type[errors.ApiError]) -> set[type[errors.ApiError]]:
        return {error}.union(*(below(each) for each in error.__subclasses__() if each.__module__ == errors.__name__))

    assert set(errors.ERRORS) == below(errors.ApiError) - {errors.ApiError}
    assert [each.status for each in errors.ERRORS] == sorted(each.status for each in errors.ERRORS)
    codes = DOCUMENT["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert sorted(codes) == sorted({each.code for each in errors.ERRORS})


@pytest.mark.parametrize("id", OPERATIONS)
def test_every_failure_shows_the_codes_of_its_status(id: str) -> None:
    for status, response in OPERATIONS[id]["responses"].items():
        if status[0] in "45":
            (content,) = referred(response)["content"].values()
            shown = {each["error"]["code"] for each in examples(content)}
            assert shown == {each.code for each in errors.ERRORS if str(each.status) == status}


@pytest.mark.parametrize(
    ("id", "statuses"),
    [
        ("health.health", "200 400 500 503"),
        ("auth.oidc_login", "302 400 401 404 429 500 503"),
        ("auth.oidc_callback", "200 303 401 403 429 500 503"),
        ("auth.logout", "204 400 401 409 413 415 422 429 500 503"),
        ("projects.list", "200 400 401 429 500 503"),
        ("projects.get", "200 400 401 404 429 500 503"),
        ("projects.create", "201 400 401 403 409 413 415 422 429 500 503"),
        ("applications.deploy", "202 400 401 403 404 409 413 415 422 429 500 503"),
        ("deployments.events", "200 400 401 404 429 500 503"),
    ],
)
def test_an_operation_lists_what_it_can_answer(id: str, statuses: str) -> None:
    assert sorted(OPERATIONS[id]["responses"]) == statuses.split()


def test_headers_stand_where_they_are_sent() -> None:
    rates = {f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset", "Used")}
    replayed = {"Idempotency-Replayed"}
    extra = {"302": {"Location"}, "303": {"Location"}}
    extra |= {"401": {"WWW-Authenticate"}, "409": replayed, "422": replayed, "429": {"Retry-After"}, "503": {"Retry-After"}}
    extra |= {"206": {"Content-Range"}, "416": {"Content-Range"}}
    file = {"Accept-Ranges", "ETag"}
    files = {"200": file | {"Content-Disposition"}, "206": file | {"Content-Disposition"}, "304": file}
    for id, operation in OPERATIONS.items():
        for status, response in operation["responses"].items():
            headers, made = referred(response)["headers"], status.startswith("2")
            expected = {"X-Request-ID"} | extra.get(status, set())
            expected |= files.get(status, set()) if id in DOWNLOADS else set()
            expected |= replayed if made and id in REPEATABLE else set()
            expected |= set() if made and (id == "health.health" or id.startswith("webhooks.")) else rates
            assert set(headers) == expected, (id, status)
            for name, header in headers.items():
                described = referred(header)
                assert described["schema"]["type"] == ("integer" if "Rate" in name or "Retry" in name else "string")
                assert described["description"]


@pytest.mark.parametrize("id", BOUND)
def test_what_is_posted_by_somebody_may_be_repeated_under_a_key(id: str) -> None:
    keys = [each["schema"] for each in map(referred, OPERATIONS[id]["parameters"]) if each["name"] == "Idempotency-Key"]
    expected = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]*$"}
    assert keys == ([expected] if id in REPEATABLE else [])


def test_what_is_made_links_to_what_can_be_asked_of_it() -> None:
    def linked(id: str, status: str) -> set[str]:
        return set(OPERATIONS[id]["responses"][status].get("links", {}))

    assert linked("projects.create", "201") == {"get", "update", "delete", "applications", "databases"}
    assert linked("applications.deploy", "202") >= {"get", "events", "logs", "rollback"}
    assert not linked("projects.get", "200")


@pytest.mark.parametrize("id", OPERATIONS)
def test_a_link_leads_to_an_operation_by_a_field_of_the_answer(id: str) -> None:
    for response in OPERATIONS[id]["responses"].values():
        for link in response.get("links", {}).values():
            ((parameter, expression),) = link["parameters"].items()
            assert parameter in {each["name"] for each in OPERATIONS[link["operationId"]]["parameters"] if each.get("in") == "path"}
            (content,) = response["content"].values()
            assert content["example"][expression.removeprefix("$response.body#/")]


def test_nothing_that_clients_read_speaks_to_the_readers_of_the_code() -> None:
    texts = [part[key] for part in parts(DOCUMENT) for key in ("summary", "description") if isinstance(part.get(key), str)]
    assert not [text for text in texts if re.search(r"DECISIONS|\bdocstring\b", text)]
    assert all(tag["description"].endswith(".") for tag in DOCUMENT["tags"])


def test_every_chapter_is_described_once() -> None:
    described = [tag["name"] for tag in DOCUMENT["tags"]]
    assert described == list(dict.fromkeys(tag for operation in OPERATIONS.values() for tag in operation["tags"]))
