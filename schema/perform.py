"""Performing an operation, whichever transport asked: who may, on which rows, then its function, and the entry in the audit trail."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from tortoise.models import Model

import workers
from models.database import counted, together
from schema.access import Role
from schema.audit import enter, shown
from schema.context import Context
from schema.errors import Conflict, Forbidden, ServiceUnavailable, Unauthorized, UnprocessableEntity
from schema.files import Chunks, Content
from schema.names import api_name
from schema.operation import Operation
from schema.surface import Bound


@dataclass(frozen=True)
class Asked:
    """What a request says beside the ids of its path."""

    input: BaseModel | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    chunks: Chunks | None = None


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
    """What the function of an operation returns, for whoever may ask: a row, or a plain object of the schema.

    A change, or the reading of a secret, and its entry in the audit trail are stored together; what was forbidden is entered, too.
    """
    operation = bound.operation
    if operation.kind != "mutation" and not operation.discloses:
        return await _called(operation, context, await admit(bound, context, ask.ids), ask.read())
    asked, context.subject = Asked(), None
    try:
        rows = await admit(bound, context, ask.ids)
        asked = ask.read()
        content = Content(asked.chunks, lambda row: _enter(bound, context, ask.ids, asked, value=row)) if asked.chunks is not None else None
        async with together() if operation.atomic else nullcontext():
            value = await _called(operation, context, rows, asked, content)
            if content is None:
                await _enter(bound, context, ask.ids, asked, value=value)
    except (Forbidden, Unauthorized) as error:
        if context.user is not None or operation.needs is Role.anonymous:
            await _enter(bound, context, ask.ids, asked, outcome=error.code)
        raise
    await counted()
    context.changed = context.changed or operation.kind == "mutation"
    context.forget()
    return value


async def _called(operation: Operation[Any], context: Context, rows: tuple[Any, ...], asked: Asked, content: Content | None = None) -> Any:
    if operation.handler is None:
        raise TypeError(f"{operation.id} is read by its plan")
    given: dict[str, Any] = {} if asked.input is None else {"input": asked.input}
    if operation.signature.content is not None:
        given[operation.signature.content] = content
    try:
        return await operation.handler(context, *rows, **given, **asked.arguments)
    except workers.Impossible as error:
        raise UnprocessableEntity(str(error), reason=error.reason) from error
    except workers.Contradiction as error:
        raise Conflict(str(error), reason=error.reason) from error
    except workers.Busy as error:
        raise ServiceUnavailable(str(error)) from error


async def _enter(
    bound: Bound, context: Context, ids: tuple[str, ...], asked: Asked, *, value: Any = None, outcome: str = "success"
) -> None:
    """Write the entry of an operation into the audit trail."""
    made = (bound.answer.singular, value.pk) if bound.answer is not None and isinstance(value, Model) else None
    resource = (bound.entities[0].singular, shown("id", ids[0])) if ids else made or (None, None)
    fields = dict(zip(bound.operation.ids[1:], ids[1:], strict=False))
    if asked.input is not None:
        fields |= {api_name(name): getattr(asked.input, name) for name in sorted(asked.input.model_fields_set)}
    fields |= {api_name(name): each for name, each in asked.arguments.items()}
    if made is not None and made[0] != resource[0]:
        fields[f"{made[0]}Id"] = made[1]
    await enter(context, bound.operation.id, outcome, resource, [(name, shown(name, each)) for name, each in fields.items()])
