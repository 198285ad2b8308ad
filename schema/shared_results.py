"""Results of values that many are shown alike: made and encoded once for all of them."""

from typing import Any, Final

import msgspec

from schema.plan.compile import Ask
from schema.recent import Recent

MOST: Final = 4_000_000
"""Bytes that are kept."""


class Shared:
    """What a value looks like through a selection that asks nothing of the database, nor of who sees it.

    The same value is the same object: whoever follows the same thing is handed it by one feed (`models.feed`).
    """

    def __init__(self) -> None:
        self._kept: Recent[tuple[int, int], tuple[Any, Ask, msgspec.Raw]] = Recent(MOST)

    def get(self, ask: Ask, value: Any) -> msgspec.Raw | None:
        """The encoded result, if it was made before."""
        found = self._kept.get((id(ask), id(value)))
        return found[2] if found is not None and found[0] is value and found[1] is ask else None

    def put(self, ask: Ask, value: Any, result: msgspec.Raw) -> None:
        """Keep a result for the others."""
        if ask.answer.pure:
            self._kept.put((id(ask), id(value)), (value, ask, result), len(bytes(result)))
