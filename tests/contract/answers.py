"""Answers of a running gateway, held against the OpenAPI document."""

import functools
import re
from http import HTTPStatus
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

from gateway.openapi import document
from schema.surface import surface

SOMETIMES = re.compile("X-RateLimit-|Idempotency-Replayed")
"""Headers that an answer may lack."""


@functools.cache
def described() -> dict[str, Any]:
    """The document as it is now; not to be changed."""
    return document(surface())


@functools.cache
def _operation(method: str, path: str) -> dict[str, Any] | None:
    """The operation that answers at a path, unless the document has none."""
    asked = re.sub("^/api/v1/", "/api/", path)
    found = [each for each in described()["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), asked)]
    named = min(found, key=lambda each: each.count("{"), default="")
    operation: dict[str, Any] | None = described()["paths"].get(named, {}).get(method.lower())
    return operation


def _response(operation: dict[str, Any], status: int) -> dict[str, Any]:
    assert str(status) in operation["responses"], f"{operation['operationId']} does not list {status}"
    response: dict[str, Any] = operation["responses"][str(status)]
    shared: dict[str, Any] = described()["components"]["responses"]
    return shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response


@functools.cache
def _validator(reference: str) -> Draft202012Validator:
    schema = {"$ref": reference, "components": described()["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def conform(answer: httpx2.Response) -> None:
    """Fail when an answer is none that the document describes for its operation.

    What has no operation may answer as it likes; where plain HTTP is sent to https, no operation was asked.
    """
    operation = _operation(answer.request.method, answer.request.url.path)
    if operation is None or answer.status_code == HTTPStatus.MOVED_PERMANENTLY:
        return
    response = _response(operation, answer.status_code)
    lacking = [name for name in response["headers"] if not SOMETIMES.match(name) and name not in answer.headers]
    assert lacking == [], f"{operation['operationId']} answers {answer.status_code} without {lacking}"
    content = response.get("content", {})
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    assert kind in content or not (content or answer.content), f"{operation['operationId']} answers {kind}"
    if kind == "application/json":
        _validator(content[kind]["schema"]["$ref"]).validate(answer.json())
        if answer.is_error:
            assert answer.json()["error"]["code"] in content[kind]["examples"]
