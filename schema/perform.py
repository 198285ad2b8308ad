"""Performing an operation, whichever transport asked: who may, on which rows, then its function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

import workers
from schema.context import Context
from schema.errors import Conflict, UnprocessableEntity
from schema.fields import Entity
from schema.operation import Operation


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


async def admit(operation: Operation[Any], context: Context, entity: Entity | None, ids: tuple[str, ...]) -> tuple[Any, ...]:
    """The rows that the path names, each one the caller may touch at the operation's `needs`.

    Raises `Unauthorized`, `NotFound` or `Forbidden`.
    """
    context.require(operation.needs)
    if not ids:
        return ()
    if entity is None or len(ids) != 1:
        raise TypeError(f"{operation.id}: the path's ids cannot be fetched")
    return (await context.fetch(entity, ids[0], operation.needs),)


async def perform(operation: Operation[Any], context: Context, entity: Entity | None, ask: Ask) -> Any:
    """What the function of an operation returns, for whoever may ask: a row, or a plain object of the schema."""
    rows = await admit(operation, context, entity, ask.ids)
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
