"""OpenAPI's own links: from the row that an action answers with to everything that can be asked of it."""

from collections.abc import Iterable
from typing import Any

from schema.operation import Operation
from schema.surface import Bound


def links(bound: Bound, operations: Iterable[Bound]) -> dict[str, Any]:
    """The operations whose path takes nothing but the id of the row that this one answers with, by verb."""
    key = _key(bound)
    if key is None:
        return {}
    found = (
        other.operation
        for other in operations
        if other.operation.ids == ("id",) and other.entities[0] is bound.answer and other.operation.follows is None
    )
    return {operation.verb: _link(operation, key) for operation in found}


def _key(bound: Bound) -> str | None:
    """The field of an action's answer that holds the id of the row."""
    if bound.operation.method != "POST" or bound.view is None or bound.answer is None:
        return None
    shown = [name for name, _ in bound.view.shape.fields]
    return next((name for name in ("id", f"{bound.answer.singular}Id") if name in shown), None)


def _link(operation: Operation[Any], key: str) -> dict[str, Any]:
    summary = operation.summary.partition("\n")[0]
    return {"operationId": operation.id, "parameters": {"id": f"$response.body#/{key}"}, "description": summary}
