"""OpenAPI's own links: from the row that an action answers with to everything that can be asked of it."""

import re
from collections.abc import Iterable
from typing import Any

from schema.fields import entity_of
from schema.operation import Operation
from schema.surface import Bound


def links(bound: Bound, operations: Iterable[Bound]) -> dict[str, Any]:
    """The operations whose path takes nothing but the id of the row that this one has made, by verb."""
    key = _key(bound)
    if key is None:
        return {}
    found = (other.operation for other in operations)
    return {each.verb: _link(each, key) for each in found if each.chapter is bound.item and re.findall(r"{(\w+)}", each.path) == ["id"]}


def _key(bound: Bound) -> str | None:
    """The field of the answer that holds the id of the row that an action has made."""
    item, operation = bound.item, bound.operation
    made = item.type is not None and operation.signature.returns is entity_of(item.type).model
    if operation.method != "POST" or bound.view is None or not made:
        return None
    shown = [name for name, _ in bound.view.shape.fields]
    return next((name for name in ("id", f"{item.singular}Id") if name in shown), None)


def _link(operation: Operation[Any], key: str) -> dict[str, Any]:
    summary = operation.summary.partition("\n")[0]
    return {"operationId": operation.id, "parameters": {"id": f"$response.body#/{key}"}, "description": summary}
