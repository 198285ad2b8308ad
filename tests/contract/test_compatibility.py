"""Every released OpenAPI document still holds: what a client was promised is there for twelve months after its deprecation."""

import copy
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.contract.answers import described
from tests.contract.compatibility import broken

RELEASED = sorted((Path(__file__).parent / "released").glob("openapi-*.json"))
TODAY = date(2026, 11, 23)


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_what_was_released_still_holds(path: Path) -> None:
    assert broken(json.loads(path.read_text()), described(), date.today()) == []


def at(found: Any, *keys: str) -> Any:
    for key in keys:
        found = found[key]
    return found


def taken_away(*keys: str) -> Callable[[Any], None]:
    return lambda found: at(found, *keys[:-1]).pop(keys[-1])


def put(*keys: Any) -> Callable[[Any], None]:
    *way, key, value = keys
    return lambda found: at(found, *way).__setitem__(key, value)


PROJECT = ("components", "schemas", "Project", "properties")
CREATE = ("components", "schemas", "CreateProjectInput")
CHANGES = [
    (taken_away("paths", "/api/projects/{id}"), "GET /api/projects/{id}: gone"),
    (taken_away("paths", "/api/projects", "post", "responses", "201"), "POST /api/projects: no longer answers 201"),
    (put("paths", "/api/projects", "get", "parameters", []), "GET /api/projects: parameter cursor is gone"),
    (taken_away(*PROJECT, "ownerId"), "GET /api/projects/{id}: answer.ownerId is gone"),
    (taken_away(*PROJECT, "_links"), "GET /api/projects/{id}: answer._links is gone"),
    (put(*PROJECT, "name", {"type": "integer"}), "GET /api/projects/{id}: answer.name is no longer string"),
    (put(*PROJECT, "name", {"anyOf": [{"type": "string"}, {"type": "null"}]}), "GET /api/projects/{id}: answer.name can be null now"),
    (taken_away(*CREATE, "properties", "teamId"), "POST /api/projects: body.teamId is no longer taken"),
    (put(*CREATE, "required", ["name", "teamId"]), "POST /api/projects: body.teamId is required now"),
    (put(*CREATE, "properties", "teamId", {"type": "string"}), "POST /api/projects: body.teamId may no longer be null"),
]


@pytest.mark.parametrize(("change", "sentence"), CHANGES, ids=[sentence for _, sentence in CHANGES])
def test_a_promise_that_is_not_kept_is_named(change: Callable[[Any], None], sentence: str) -> None:
    before = described()
    now = copy.deepcopy(before)
    change(now)
    assert sentence in broken(before, now, TODAY)


def test_what_was_deprecated_may_go_after_its_sunset() -> None:
    before = copy.deepcopy(described())
    path = before["paths"]["/api/projects"]
    path["get"] |= {"deprecated": True, "description": "Deprecated since 2025-06-01, may be gone from 2026-06-01: https://x"}
    now = copy.deepcopy(before)
    del now["paths"]["/api/projects"]["get"]
    assert broken(before, now, date(2026, 5, 31)) == ["GET /api/projects: gone"]
    assert broken(before, now, date(2026, 6, 1)) == []
