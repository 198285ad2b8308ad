"""What an answer looks like, written as JSON that has the answer's own form.

An object asks for its keys, and more are fine. A list with one shape asks for at least one item and holds for each of them;
a list with more is the whole list. A text says what stands in its place:

    "string"                  a text; "integer", "number", "boolean" likewise
    "id", "time"              a UUID, RFC 3339 in UTC
    "string?"                 the same, or null
    "= running"               exactly this text
    "any of a | b"            one of these texts
    "all of a | b"            a text of parts with commas in between, these among them
    "like in # seconds*"      this text, with a number at `#` and anything at `*`
    "/api/projects/{id}"      this path, with the values of the answer's own fields

Anything else (a number, a Boolean, null) is exactly that value.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "id": _is_id,
    "time": lambda value: isinstance(value, str) and TIME.fullmatch(value) is not None,
}


def _pattern(text: str) -> str:
    return re.escape(text).replace(r"\#", r"\d+").replace(r"\*", ".*")


def _filled(path: str, around: tuple[dict[str, Any], ...]) -> str:
    """A path with the values of the nearest object that has them."""
    values: dict[str, Any] = {}
    for each in around:
        values |= each
    return re.sub(r"{(\w+)}", lambda found: str(values.get(found[1], found[0])), path)


def fits(shape: str, value: Any, around: tuple[dict[str, Any], ...] = ()) -> bool:
    """Whether a value is what a text asks for."""
    word, _, rest = shape.partition(" ")
    text = value if isinstance(value, str) else ""
    if shape.startswith("/"):
        return bool(value == _filled(shape, around))
    if shape.endswith("?"):
        return value is None or TYPES[shape[:-1]](value)
    if word == "=":
        return bool(value == rest)
    if shape.startswith(("any of ", "all of ")):
        named = shape[len("any of ") :].split(" | ")
        return text in named if word == "any" else set(named) <= set(text.split(", "))
    if word == "like":
        return re.fullmatch(_pattern(rest), text) is not None
    return TYPES[shape](value)


@dataclass(frozen=True)
class Comparison:
    """Compares answers with shapes; `awaited` are links that have to be absent yet, `empty` paths of lists that may be empty."""

    awaited: Collection[str] = ()
    empty: Collection[str] = ()

    def differences(self, shape: Any, value: Any, at: str = "", around: tuple[dict[str, Any], ...] = ()) -> list[str]:
        """What is wrong with a value, as sentences."""
        if isinstance(shape, dict):
            return self._of_object(shape, value, at, around)
        if isinstance(shape, list):
            return self._of_list(shape, value, at, around)
        good = fits(shape, value, around) if isinstance(shape, str) else (value == shape and type(value) is type(shape))
        return [] if good else [f"{at} is {value!r}, not {shape!r}"]

    def _of_object(self, shape: dict[str, Any], value: Any, at: str, around: tuple[dict[str, Any], ...]) -> list[str]:
        if not isinstance(value, dict):
            return [f"{at} is {value!r}, not an object"]
        found = []
        for key, inner in shape.items():
            path = f"{at}.{key}" if at else key
            awaited = isinstance(inner, str) and inner in self.awaited
            if awaited and key in value:
                found.append(f"{path} is there, though nothing it leads to is built")
            elif not awaited and key not in value:
                found.append(f"{path} is missing")
            elif not awaited:
                found += self.differences(inner, value[key], path, (*around, value))
        return found

    def _of_list(self, shape: list[Any], value: Any, at: str, around: tuple[dict[str, Any], ...]) -> list[str]:
        if not isinstance(value, list):
            return [f"{at} is {value!r}, not a list"]
        if not value and at not in self.empty:
            return [f"{at} is empty"]
        shapes = shape if len(shape) > 1 else shape * len(value)
        if len(shapes) != len(value):
            return [f"{at} has {len(value)} items, not {len(shapes)}"]
        pairs = zip(shapes, value, strict=True)
        return [problem for inner, item in pairs for problem in self.differences(inner, item, f"{at}[]", around)]


def lost(sent: Any, shown: Any, at: str = "") -> list[str]:
    """What of a request is not shown by an answer, where that has fields of the same names."""
    if isinstance(sent, dict) and isinstance(shown, dict):
        return [each for key in sent.keys() & shown.keys() for each in lost(sent[key], shown[key], f"{at}.{key}")]
    if isinstance(sent, list) and isinstance(shown, list) and len(sent) == len(shown):
        return [each for one, other in zip(sent, shown, strict=True) for each in lost(one, other, f"{at}[]")]
    return [] if sent == shown else [f"{at[1:]}: {sent!r} was sent, {shown!r} is shown"]


Fields = dict[str, frozenset[str]]
"""The paths of all fields of a JSON value (`data[].id`), with the JSON types that they have or may have."""


def fields(value: Any, kinds: Callable[[Any], frozenset[str]], at: str = "") -> Fields:
    """All fields of a JSON value or shape."""
    inner: list[tuple[str, Any]] = []
    if isinstance(value, list):
        inner = [(f"{at}[]", each) for each in value]
    elif isinstance(value, dict):
        inner = [(f"{at}.{key}" if at else key, each) for key, each in value.items()]
    found: Fields = {}
    for path, each in inner:
        own = {path: kinds(each)} if isinstance(value, dict) else {}
        for name, types in (own | fields(each, kinds, path)).items():
            found[name] = found.get(name, frozenset()) | types
    return found


def named(names: Iterable[str]) -> Fields:
    """Names that have no types."""
    return dict.fromkeys(names, frozenset())


def kinds_of_value(value: Any) -> frozenset[str]:
    """The JSON type of a value."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return frozenset([names.get(type(value), "null")])


def kinds_of_shape(shape: Any) -> frozenset[str]:
    """The JSON types that a shape allows."""
    if not isinstance(shape, str):
        return kinds_of_value(shape)
    word = shape.removesuffix("?")
    kind = {"integer": "number", "number": "number", "boolean": "boolean"}.get(word, "string")
    return frozenset([kind, "null"] if shape.endswith("?") else [kind])
