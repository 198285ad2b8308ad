"""The check of answers, which every test of the services goes through, finds what the document does not describe."""

from typing import Any

import httpx2
import pytest
from jsonschema import ValidationError

from tests.contract.answers import conform

ACCOUNT = {"id": "550e8400-e29b-41d4-a716-446655440000", "username": "ada", "email": None, "createdAt": "2024-12-30T10:00:00Z"}
ERROR = {"code": "CONFLICT", "message": "It is taken.", "details": {}, "timestamp": "2024-12-30T10:00:00Z", "requestId": "req-1"}


def answered(status: int, body: Any, path: str = "/api/auth/register", **headers: str) -> httpx2.Response:
    request = httpx2.Request("POST", f"http://test{path}")
    return httpx2.Response(status, json=body, headers={"X-Request-ID": "req-1", **headers}, request=request)


@pytest.mark.parametrize("path", ["/api/auth/register", "/api/v1/auth/register"])
def test_what_is_described_conforms(path: str) -> None:
    conform(answered(201, ACCOUNT, path))
    conform(answered(409, {"error": ERROR}, path))


def test_what_has_no_operation_may_answer_as_it_likes() -> None:
    conform(answered(418, "tea", "/api/graphql"))


@pytest.mark.parametrize(
    "body",
    [
        {name: value for name, value in ACCOUNT.items() if name != "email"},
        {**ACCOUNT, "password": "secretpassword"},
        {**ACCOUNT, "id": 7},
        {**ACCOUNT, "id": "7"},
        {**ACCOUNT, "createdAt": "yesterday"},
    ],
    ids=["a field is missing", "a field too many", "another type", "no uuid", "no time"],
)
def test_another_body_is_found(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        conform(answered(201, body))


def test_a_status_that_is_not_listed_is_found() -> None:
    with pytest.raises(AssertionError, match=r"auth\.register does not list 404"):
        conform(answered(404, {"error": {**ERROR, "code": "RESOURCE_NOT_FOUND"}}))


def test_a_code_of_another_status_is_found() -> None:
    with pytest.raises(AssertionError):
        conform(answered(409, {"error": {**ERROR, "code": "FORBIDDEN"}}))


def test_a_header_that_is_missing_is_found() -> None:
    with pytest.raises(AssertionError, match="without"):
        conform(answered(503, {"error": {**ERROR, "code": "SERVICE_UNAVAILABLE"}}))


def test_another_kind_of_content_is_found() -> None:
    with pytest.raises(AssertionError, match="answers text/html"):
        conform(answered(201, ACCOUNT, **{"Content-Type": "text/html"}))
