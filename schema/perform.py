"""Performing an operation, whichever transport asked: who may, on which rows, then its function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

import workers
from schema.context import Context
from schema.errors import Conflict, UnprocessableEntity
from schema.surface import Bound


@dataclass(frozen=True)
class Asked:
    """What a request says beside the ids of its path."""

    input: BaseModel | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """A request to one operation. `read` gives the rest of it, after the caller was let in: it may raise `ValidationFailed`."""

    ids: tuple[str, ...]
    read: Callable[[], Asked]


async def admit(bound: Bound, context: Context, ids: tuple[str, ...]) -> tuple[Any, ...]:
    """The rows that the path names: the first one the caller may touch at the operation's `needs`, the second one belongs to it.

    Raises `Unauthorized`, `NotFound` or `Forbidden`.
    """
    operation = bound.operation
    context.require(operation.needs)
    if not ids:
        return ()
    parent, *children = bound.entities
    row = await context.fetch(parent, ids[0], operation.needs)
    names = zip(children, operation.ids[1:], ids[1:], strict=True)
    return (row, *[await context.part(parent, row, entity, name, id) for entity, name, id in names])


async def perform(bound: Bound, context: Context, ask: Ask) -> Any:
    """What the function of an operation returns, for whoever may ask: a row, or a plain object of the schema."""
    operation = bound.operation
    rows = await admit(bound, context, ask.ids)
    asked = ask.read()
    if operation.handler is None:
        raise TypeError(f"{operation.id} is read by its plan")
    given = {} if asked.input is None else {"input": asked.input}
    try:
        value = await operation.handler(context, *rows, **given, **asked.arguments)
    except workers.Impossible as error:
        raise UnprocessableEntity(str(error), reason=error.reason) from error
    except workers.Contradiction as error:
        raise Conflict(str(error), reason=error.reason) from error
    if operation.kind == "mutation":
        context.forget()
    return value
