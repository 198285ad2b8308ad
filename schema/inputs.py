"""Request bodies: one strict pydantic base, and every problem reported at once in the words of the API (DECISIONS 4)."""

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from schema.errors import InvalidInput, Problem, ValidationFailed
from schema.names import api_name

SECRET_FIELDS = frozenset({"password", "currentPassword", "privateKey", "certificateChain", "token"})
_LONGEST_ECHO = 200

M = TypeVar("M", bound=BaseModel)


class Input(BaseModel):
    """The base of every input: strict types, unknown fields refused, no NUL and no lone surrogate in any text."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=api_name, validate_by_alias=True, validate_by_name=True
    )

    @model_validator(mode="before")
    @classmethod
    def _clean_text(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for value in data.values():
                for text in value if isinstance(value, list) else [value]:
                    if isinstance(text, str) and not clean(text):
                        raise PydanticCustomError("text", "may not contain NUL characters or lone surrogates")
        return data


def clean(text: str) -> bool:
    """Whether a text can be stored: no NUL, no lone surrogate."""
    return ("\0" not in text and text.isascii()) or not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def uuid_of(value: Any) -> UUID | None:
    """An id in its canonical form, or None."""
    if isinstance(value, UUID):
        return value
    try:
        found = UUID(value)
    except ValueError:
        return None
    return found if str(found) == value.lower() else None


def _constraint(error_type: str) -> str:
    """The word for a kind of problem, stable whatever pydantic calls it."""
    for suffix, word in (
        ("missing", "required"),
        ("extra_forbidden", "unknown"),
        ("enum", "enum"),
        ("is_instance_of", "enum"),
        ("literal_error", "enum"),
        ("string_pattern_mismatch", "regex"),
        ("too_short", "length"),
        ("too_long", "length"),
        ("_than_equal", "range"),
        ("_than", "range"),
        ("finite_number", "range"),
        ("_type", "type"),
        ("_parsing", "type"),
        ("_from_float", "type"),
    ):
        if error_type.endswith(suffix):
            return word
    return error_type


def _words(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a known field"
        case "enum" | "is_instance_of" | "literal_error":
            return f"must be {error.get('ctx', {}).get('expected', 'one of the listed values')}"
    words = error["msg"].removeprefix("Input ").removeprefix("String ").removeprefix("Value ").removeprefix("List ")
    return words.replace("should", "must", 1)


def path(location: Iterable[str | int]) -> str:
    """`("ports", 0, "containerPort")` → `ports[0].containerPort`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def _received(field: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    secret = any(part.lower() in field.lower() for part in SECRET_FIELDS) or "envVars" in field
    if secret or not isinstance(value, str) or not clean(value):
        return None
    return value[:_LONGEST_ECHO]


def problem(location: Iterable[str | int], constraint: str, words: str, received: Any = None) -> Problem:
    """A problem at a place; `words` continue a sentence that starts with the field's name. Secrets are never echoed."""
    parts = list(location)
    field = path(parts)
    name = next((part for part in reversed(parts) if isinstance(part, str)), "request")
    return Problem(
        field=field,
        message=f"{name[:1].upper()}{name[1:]} {words}",
        constraint=constraint,
        received=None if constraint == "required" else _received(field, received),
    )


def problems(error: ValidationError, prefix: tuple[str, ...] = ()) -> list[Problem]:
    """Every problem that pydantic found, in the API's words."""
    found = []
    for item in error.errors(include_url=False):
        location = [*prefix, *(api_name(part) if isinstance(part, str) else part for part in item["loc"])]
        found.append(problem(location, _constraint(item["type"]), _words(item), item.get("input")))
    return found


def refuse(location: str, constraint: str, words: str, received: Any = None) -> NoReturn:
    """Raise `ValidationFailed` with one problem."""
    raise ValidationFailed([problem(location.split("."), constraint, words, received)])


def validated(model: type[M], data: Mapping[str, Any]) -> M:
    """An input from values that GraphQL has coerced already.

    Raises `ValidationFailed` with every problem.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ValidationFailed(problems(error)) from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidInput("The request body names a key twice.")
    return found


def _not_json(constant: str) -> NoReturn:
    raise InvalidInput(f"The request body is not JSON: {constant}.")


def decoded(model: type[M], body: bytes) -> M:
    """An input from a JSON body; an absent body is `{}`.

    Raises `InvalidInput` for what is not a JSON object, `ValidationFailed` with every problem.
    """
    text = body or b"{}"
    try:
        data = json.loads(text.decode(), object_pairs_hook=_unique_keys, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or an integer of more digits than Python reads
        raise InvalidInput("The request body is not valid JSON.") from error
    if not isinstance(data, dict):
        raise InvalidInput("The request body must be a JSON object.")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        if any(item["type"] == "json_invalid" for item in error.errors()):
            raise InvalidInput("The request body is not valid JSON.") from None
        raise ValidationFailed(problems(error)) from None


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def parameter(annotation: Any, name: str, text: str) -> Any:
    """A query parameter of a REST request, read from its text.

    Raises `ValidationFailed`.
    """
    if not clean(text):
        refuse(name, "text", "may not contain NUL characters or lone surrogates")
    try:
        return _adapter(annotation).validate_strings(text)
    except ValidationError as error:
        raise ValidationFailed(problems(error, (name,))) from None


def checked(annotation: Any, name: str, value: Any) -> Any:
    """An argument whose type GraphQL has checked already, held against its constraints.

    Raises `ValidationFailed`.
    """
    if isinstance(value, str) and not clean(value):
        refuse(name, "text", "may not contain NUL characters or lone surrogates")
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        raise ValidationFailed(problems(error, (name,))) from None
