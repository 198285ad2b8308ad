"""The SQL and the generated source of the REST views, kept as a file. `DOKPLOY_GOLDEN=write` writes it; read the difference."""

import os
from pathlib import Path

from schema.plan.build import Sight
from schema.plan.compile import Function
from schema.surface import Bound, surface

GOLDEN = Path(__file__).parent / "views.txt"


def functions(bound: Bound) -> list[tuple[str, Function]]:
    view = bound.view
    if view is None:
        return []
    found = []
    for sight in (Sight.everything, Sight.some):
        if view.document is None:
            found.append((sight.name, view.functions[sight]))
            continue
        values = {"first": 20, "after": "x"} if bound.operation.listing else {"id": "x"}
        reads = view.document.plan(values, sight).reads
        assert reads is not None
        found.append((sight.name, reads))
    return found


def written() -> str:
    parts = []
    for bound in surface().operations:
        for sight, function in functions(bound):
            parts.append(f"== {bound.operation.id}, {sight}\n" + "".join(f"{sql}\n" for sql in function.statements) + function.source)
    return "\n".join(parts)


def test_the_views_are_compiled_to_what_the_file_says() -> None:
    text = written()
    if os.environ.get("DOKPLOY_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert GOLDEN.read_text() == text
