"""Values at run time: what the database sends, what Python code returns, and what goes wrong with either.

A plan never stops at a field that fails. It puts the exception in the field's place and into `trouble`, and leaves the rest to
`schema.plan.complete`.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from graphql import GraphQLScalarType, is_specified_scalar_type
from tortoise import fields

from models.secrets import EncryptedJSONField, decrypt
from schema.errors import Forbidden, NotFound

Trouble = list[Exception | None]


def decoder(kind: fields.Field[Any]) -> Callable[[Any], Any] | None:
    """What makes a Python value of a column as the driver hands it out, or None when that is one already."""
    if isinstance(kind, fields.JSONField):
        return _json
    return _secret if isinstance(kind, EncryptedJSONField) else None


def reader(kind: fields.Field[Any]) -> Callable[[Any], Any] | None:
    """What makes of a column the value that a function of ours takes: as `decoder`, and a member of an enum."""
    members: type[Enum] | None = getattr(kind, "enum_type", None)
    return decoder(kind) if members is None else lambda text: None if text is None else members(text)


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _secret(text: str | None) -> Any:
    return None if text is None else decrypt(text)


def failed(error: Exception, trouble: Trouble) -> Exception:
    """Stand for a field that could not be had."""
    trouble.append(error)
    return error


def absent(trouble: Trouble) -> None:
    """Stand for a value that is missing where none may be."""
    trouble.append(None)


def forbidden(trouble: Trouble) -> Exception:
    """Stand for a field that takes a higher role where the row lives."""
    return failed(Forbidden(), trouble)


def missing(title: str, singular: str, id: Any, trouble: Trouble) -> Exception:
    """Stand for a row that does not exist or may not be seen."""
    return failed(NotFound.row(title, singular, str(id)), trouble)


_EXACT: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}
"""Scalars whose values are shown as they are when they are of exactly this class."""


def odd(value: Any, required: bool, trouble: Trouble) -> Any:
    """Stand for a value that is not what its field promises: nothing, an exception, or something else."""
    if value is None:
        return absent(trouble) if required else None
    return failed(value if isinstance(value, Exception) else TypeError(f"a {type(value).__name__} is not what this field shows"), trouble)


@cache
def leaf(type_: Any, required: bool) -> Callable[[Any, Trouble], Any]:
    """What shows a scalar or enum that Python code returned.

    A scalar of ours stays as it is once it has shown that it can be serialised: it is encoded in the same way at the end.
    """
    own = isinstance(type_, GraphQLScalarType) and not is_specified_scalar_type(type_)
    exact = _EXACT.get(type_.name)

    def show(value: Any, trouble: Trouble) -> Any:
        if type(value) is exact:
            return value
        if value is None or isinstance(value, Exception):
            return odd(value, required, trouble)
        try:
            found = type_.serialize(value)
        except Exception as error:
            return failed(error, trouble)
        return value if own else found

    return show


async def batch(function: Callable[..., Any], context: Any, trouble: Trouble, rows: list[tuple[Any, ...]]) -> Iterable[Any]:
    """What a batch function says of each row; when it fails, its exception for every row."""
    if not rows:
        return iter(())
    try:
        found: list[Any] = await function(context, rows)
        if len(found) != len(rows):
            raise TypeError(f"{function.__qualname__} returned {len(found)} values for {len(rows)} rows")
    except Exception as error:
        return iter([error] * len(rows))
    return iter(found)


def allowed(holds: bool, value: Any, trouble: Trouble) -> Any:
    """A value that was fetched for every row, for those that may be read."""
    return value if holds else forbidden(trouble)


class Typed(dict[str, Any]):
    """An object behind an interface, which remembers its type for completion."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.type_name = type_name
