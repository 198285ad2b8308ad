"""What a document is compiled to, for people: the SQL and the generated function of each part."""

from typing import Any

from schema.plan.build import Sight
from schema.plan.catalog import Catalog
from schema.plan.compile import Function
from schema.plan.document import Document


def explained(catalog: Catalog, text: str, variables: dict[str, Any], sight: Sight) -> str:
    """The plan of a document for a caller with this sight. Raises `Refused` and `ValidationFailed`."""
    document = Document(catalog, text, None)
    plan = document.plan(document.coerced(variables), sight)
    parts = [("read", plan.reads)] if plan.reads else []
    parts += [(ask.key, ask.answer) for ask in plan.asks]
    shown = [_function(name, function) for name, function in parts if function is not None]
    return "\n".join([*shown, f"-- at most {plan.cost} rows and sub-selects\n"])


def _function(name: str, function: Function) -> str:
    statements = "\n".join(f"-- statement {number}\n{sql};" for number, sql in enumerate(function.statements, 1))
    return f"-- {name}\n{statements}\n\n{function.source}"
