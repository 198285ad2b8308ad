"""Constraints of input fields, each an annotation that checks, explains itself and shows in OpenAPI."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schema.names import api_name

BLANK = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""Spaces and control characters for a pattern, each by its number: a class like `s` does not hold the same in Python and in JSON Schema."""


@dataclass(frozen=True)
class Pattern:
    """The whole text matches; `words` say in a sentence what is expected (`must be alphanumeric`)."""

    pattern: str
    words: str
    shortest: int = 0
    longest: int = 1024

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type: length first, then the pattern."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the same in JSON Schema."""
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$", "minLength": self.shortest, "maxLength": self.longest}

    def _check(self, value: str) -> str:
        if not self.shortest <= len(value) <= self.longest:
            raise PydanticCustomError("length", f"must have {self.shortest} to {self.longest} characters")
        if not re.fullmatch(self.pattern, value):
            raise PydanticCustomError("regex", self.words)
        return value


@dataclass(frozen=True)
class Length:
    """A text of so many characters, or a list of so many items."""

    shortest: int
    longest: int
    of: str = "characters"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the same in JSON Schema."""
        unit = "Length" if self.of == "characters" else "Items"
        return handler(schema) | {f"min{unit}": self.shortest, f"max{unit}": self.longest}

    def _check(self, value: Any) -> Any:
        if not self.shortest <= len(value) <= self.longest:
            raise PydanticCustomError("length", f"must have {self.shortest} to {self.longest} {self.of}")
        return value


def _whole(value: Any) -> Any:
    """JSON has one kind of numbers: 50.0 is the integer 50, as JSON Schema and GraphQL have it, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        checked = core_schema.no_info_after_validator_function(self._check, handler(source))
        return core_schema.no_info_before_validator_function(_whole, checked) if source is int else checked

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the same in JSON Schema."""
        return handler(schema) | {"minimum": self.low, "maximum": self.high}

    def _check(self, value: float) -> float:
        if not self.low <= value <= self.high:
            raise PydanticCustomError("range", f"must be between {self.low} and {self.high}")
        return value


@dataclass(frozen=True, init=False)
class OneOf:
    """One of a closed set of texts that are no names, which an enum of GraphQL would need."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the same in JSON Schema."""
        return handler(schema) | {"enum": list(self.values)}

    def _check(self, value: str) -> str:
        if value not in self.values:
            raise PydanticCustomError("enum", "must be {expected}", {"expected": f"one of {', '.join(self.values)}"})
        return value


@dataclass(frozen=True, init=False)
class Distinct:
    """A list of objects of which no two agree in one of these attributes; None does not count."""

    attributes: tuple[str, ...]

    def __init__(self, *attributes: str) -> None:
        object.__setattr__(self, "attributes", attributes)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, items: list[Any]) -> list[Any]:
        for attribute in self.attributes:
            found = [value for item in items if (value := getattr(item, attribute)) is not None]
            if len(found) != len(set(found)):
                raise PydanticCustomError("unique", "may not name the same {what} twice", {"what": api_name(attribute)})
        return items
