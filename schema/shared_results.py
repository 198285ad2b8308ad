"""Results of values that many are shown alike: made and encoded once for all of them."""

from typing import Any, Final, Generic, TypeVar

from schema.recent import Recent

Result = TypeVar("Result", bytes, str)
MOST: Final = 4_000_000
"""Bytes, or characters, that are kept."""


class Shared(Generic[Result]):
    """What a value looks like, in each way in which it is shown that asks nothing of the database, nor of who sees it.

    The same value is the same object: whoever follows the same thing is handed it by one feed (`models.feed`).
    """

    def __init__(self) -> None:
        self._kept: Recent[tuple[int, int], tuple[object, object, Result]] = Recent(MOST)

    def get(self, way: object, value: Any) -> Result | None:
        """The result, if it was made before."""
        found = self._kept.get((id(way), id(value)))
        return found[2] if found is not None and found[0] is way and found[1] is value else None

    def put(self, way: object, value: Any, result: Result) -> Result:
        """Keep a result for the others."""
        self._kept.put((id(way), id(value)), (way, value, result), len(result))
        return result
