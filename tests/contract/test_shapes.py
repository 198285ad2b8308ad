"""That a comparison with a shape finds what is wrong, and that the specification's text is read as it is meant."""

from typing import Any

import pytest

from tests.contract.shapes import Comparison, fields, kinds_of_shape, kinds_of_value, lost
from tests.contract.specification import printed

ID = "018f3c6e-0000-7000-8000-000000000001"

GOOD: list[tuple[Any, Any]] = [
    ("string", ""),
    ("string?", None),
    ("integer", 3),
    ("number", 0.5),
    ("id", ID),
    ("time", "2024-12-30T10:00:00.123456Z"),
    ("= running", "running"),
    ("any of a | b", "b"),
    ("all of a | b", "b, c, a"),
    ("like in # seconds*", "in 45 seconds or so"),
    (None, None),
    ({"id": "id", "_links": {"self": "/api/x/{id}"}}, {"id": ID, "_links": {"self": f"/api/x/{ID}"}, "more": 1}),
    ([{"n": "integer"}], [{"n": 1}, {"n": 2}]),
    ([1, 2], [1, 2]),
]

BAD: list[tuple[Any, Any, str]] = [
    ("string", 1, "at is 1, not 'string'"),
    ("integer", True, "at is True, not 'integer'"),
    ("integer", 1.0, "at is 1.0, not 'integer'"),
    ("number", None, "at is None, not 'number'"),
    ("id", "app-123", "at is 'app-123', not 'id'"),
    ("time", "2024-12-30T10:00:00+00:00", "at is '2024-12-30T10:00:00+00:00', not 'time'"),
    ("any of a | b", "c", "at is 'c', not 'any of a | b'"),
    ("all of a | b", "a", "at is 'a', not 'all of a | b'"),
    (1, True, "at is True, not 1"),
    ({"a": {"b": "integer"}}, {"b": 1}, "at.a is missing"),
    ({"a": {"b": "integer"}}, {"a": 1}, "at.a is 1, not an object"),
    ({"id": "id", "_links": {"self": "/api/x/{id}"}}, {"id": ID, "_links": {"self": "/api/x/1"}}, "at._links.self is '/api/x/1', not "),
    ({"_links": {"logs": "/api/logs"}}, {"_links": {"logs": "/api/logs"}}, "at._links.logs is there, though"),
    ([{"n": "integer"}], [{"n": 1}, {"n": "2"}], "at[].n is '2', not 'integer'"),
    (["string"], [], "at is empty"),
    ([1, 2], [1, 2, 3], "at has 3 items, not 2"),
    (["string"], "text", "at is 'text', not a list"),
]


@pytest.mark.parametrize(("shape", "value"), GOOD)
def test_what_fits_is_left_alone(shape: Any, value: Any) -> None:
    assert Comparison().differences(shape, value, "at") == []


@pytest.mark.parametrize(("shape", "value", "words"), BAD)
def test_what_does_not_fit_is_said_in_a_sentence(shape: Any, value: Any, words: str) -> None:
    (found,) = Comparison(awaited={"/api/logs"}).differences(shape, value, "at")
    assert found.startswith(words)


def test_a_link_that_waits_and_a_list_that_may_be_empty_are_no_differences() -> None:
    comparison = Comparison(awaited={"/api/logs"}, empty=["domains"])
    assert comparison.differences({"_links": {"logs": "/api/logs"}, "domains": ["string"]}, {"_links": {}, "domains": []}) == []


def test_what_is_sent_and_not_shown_is_found() -> None:
    assert lost({"a": [{"b": 1}], "c": 2}, {"a": [{"b": 1, "more": 2}], "d": 3}) == []
    assert lost({"a": [{"b": 1}]}, {"a": [{"b": 2}]}) == ["a[].b: 1 was sent, 2 is shown"]


def test_fields_have_their_paths_and_types() -> None:
    assert fields({"a": [{"b": 1}, {"b": "x"}], "c": None}, kinds_of_value) == {
        "a": {"array"},
        "a[].b": {"number", "string"},
        "c": {"null"},
    }
    assert fields({"a": "integer", "b": "id?", "c": "= 1"}, kinds_of_shape) == {"a": {"number"}, "b": {"string", "null"}, "c": {"string"}}


SPECIFICATION = """
Projects

PATCH /api/projects/:id

Query Parameters: - limit (integer): Max results - search: Name

Request:

{
  "name": "string (optional)",
  "parts": [...]
}

Response: 200 OK

{
  "id": "string"
}

SDK Examples

cURL

# Login
curl -X POST https://dokploy.example.com/api/applications/app-123/deploy \\
  -H "Content-Type: application/json" \\
  -d '{
    "username": "admin"
  }'

Security

Security Headers

X-Frame-Options: DENY
"""


def test_the_specification_is_read_under_its_headings() -> None:
    assert [str(found) for found in printed(SPECIFICATION)] == [
        "Projects, PATCH /api/projects/:id: operation PATCH /api/projects/:id",
        "Projects, PATCH /api/projects/:id: query limit search",
        "Projects, PATCH /api/projects/:id: request name parts",
        "Projects, PATCH /api/projects/:id: status 200",
        "Projects, PATCH /api/projects/:id: response id",
        "SDK Examples, cURL, cURL: Login: operation POST /api/applications/:id/deploy",
        "SDK Examples, cURL, cURL: Login: sends Content-Type",
        "SDK Examples, cURL, cURL: Login: request username",
        "Security, Security Headers: headers X-Frame-Options",
    ]


def test_data_have_a_body_only_with_exactly_its_fields() -> None:
    request = next(found for found in printed(SPECIFICATION) if found.kind == "request")
    assert request.is_in(fields({"name": "a", "parts": [{"n": 1}]}, kinds_of_value))
    assert not request.is_in(fields({"name": "a"}, kinds_of_value))
    assert not request.is_in(fields({"name": "a", "parts": [], "more": 1}, kinds_of_value))
    assert not request.is_in(fields({"name": 1, "parts": []}, kinds_of_value))
