"""Bodies and values: whatever is sent becomes an input or a clear error, in the API's words."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.application_inputs import CreateApplicationInput, DeployInput, ScaleInput, UpdateApplicationInput
from schema.auth import RegisterInput
from schema.errors import ApiError, InvalidInput, ValidationFailed
from schema.inputs import Input, decoded, path, validated
from schema.projects import CreateProjectInput, UpdateProjectInput
from schema.users import UpdateMeInput

INPUTS: list[type[Input]] = [
    CreateApplicationInput,
    UpdateApplicationInput,
    DeployInput,
    CreateProjectInput,
    UpdateProjectInput,
    RegisterInput,
    UpdateMeInput,
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def names(model: type[Input]) -> list[str]:
    return [str(field.alias) for field in model.model_fields.values()]


@pytest.mark.parametrize("model", INPUTS, ids=lambda model: model.__name__)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_json_is_an_input_or_a_clear_error(model: type[Input], data: st.DataObject) -> None:
    body = data.draw(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(names(model), JSON)))
    try:
        found = decoded(model, json.dumps(body).encode())
    except ApiError as error:
        assert isinstance(error, InvalidInput | ValidationFailed)
        for problem in error.details.get("errors", []):
            assert problem["field"] or problem["constraint"]
            json.dumps(problem, allow_nan=False)
    else:
        assert isinstance(found, model)


@given(body=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_input_or_a_clear_error(body: bytes) -> None:
    try:
        decoded(DeployInput, body)
    except ApiError as error:
        assert error.status == 400


def test_an_integer_of_very_many_digits_is_no_valid_json() -> None:
    with pytest.raises(InvalidInput):
        decoded(ScaleInput, b'{"replicas": 1' + b"0" * 5000 + b"}")


@pytest.mark.parametrize("model", INPUTS, ids=lambda model: model.__name__)
@given(name=st.text(min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_no_unknown_field_is_ever_taken(model: type[Input], name: str) -> None:
    if name in names(model) or name in model.model_fields:
        return
    with pytest.raises(ValidationFailed) as caught:
        decoded(model, json.dumps({name: 1}, ensure_ascii=True).encode())
    assert "unknown" in {problem["constraint"] for problem in caught.value.problems} or "\0" in name


@pytest.mark.parametrize("name", ["id", "status", "role", "roles", "ownerId", "serviceName", "deletedAt", "epoch", "worker"])
@pytest.mark.parametrize("model", INPUTS, ids=lambda model: model.__name__)
def test_what_only_the_system_sets_cannot_be_assigned(model: type[Input], name: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        decoded(model, json.dumps({name: "x"}).encode())
    assert {"field": name, "constraint": "unknown"}.items() <= next(p for p in caught.value.problems if p["field"] == name).items()


@pytest.mark.parametrize(
    ("location", "text"),
    [((), ""), (("a",), "a"), (("ports", 0, "containerPort"), "ports[0].containerPort"), (("a", "b", 2), "a.b[2]")],
)
def test_a_place_is_written_in_the_jsons_own_path(location: tuple[str | int, ...], text: str) -> None:
    assert path(location) == text


def test_absent_null_and_given_are_told_apart_in_a_patch() -> None:
    found = decoded(UpdateProjectInput, b'{"description": null}')
    assert (found.name, found.team_id) == (None, None)
    assert found.description is not None
    assert found.description.value is None


@pytest.mark.parametrize(
    ("given", "constraint", "message"),
    [
        ({}, "required", "Name is required"),
        ({"name": 5}, "type", "Name must be a valid string"),
        ({"name": "x"}, "length", "Name must have 3 to 50 characters"),
        ({"name": "a b c"}, "regex", "Name must be alphanumeric"),
    ],
)
def test_a_problem_is_said_in_words(given: dict[str, Any], constraint: str, message: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        validated(CreateProjectInput, given)
    problem = caught.value.problems[0]
    assert (problem["constraint"], problem["message"]) == (constraint, message)


def test_a_password_is_never_echoed() -> None:
    with pytest.raises(ValidationFailed) as caught:
        decoded(RegisterInput, b'{"username": "ada", "email": "a@b.c", "password": "short"}')
    assert caught.value.problems[0]["received"] is None


@pytest.mark.parametrize(("text", "read"), [("50.0", 50), ("5e1", 50), ("-0.0", 0), ("100", 100)])
def test_a_whole_number_is_an_integer_however_it_is_written(text: str, read: int) -> None:
    found = decoded(ScaleInput, f'{{"replicas": {text}}}'.encode())
    assert (found.replicas, type(found.replicas)) == (read, int)


@pytest.mark.parametrize(("text", "constraint"), [("50.5", "type"), ("101.0", "range"), ("1e300", "range"), ("true", "type")])
def test_what_is_no_whole_number_in_the_range_is_refused(text: str, constraint: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        decoded(ScaleInput, f'{{"replicas": {text}}}'.encode())
    assert caught.value.problems[0]["constraint"] == constraint
