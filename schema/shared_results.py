"""Results of values that many are shown alike: made and encoded once for all of them."""

from typing import Any, Final, Generic, TypeVar
from weakref import KeyedRef

Result = TypeVar("Result", bytes, str)
MOST: Final = 4_000_000
"""Bytes, or characters, that are kept; where that is not enough results are made more often than once."""
_Key = tuple[int, int]


class Shared(Generic[Result]):
    """What a value looks like, in each way in which it is shown that asks nothing of the database, nor of who sees it.

    The same value is the same object: whoever follows the same thing is handed it by one feed (`models.feed`). A result is kept for as
    long as somebody still has to be shown its value.
    """

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[KeyedRef[_Key, Any], object, Result]] = {}
        self._weight = 0

    def get(self, way: object, value: Any) -> Result | None:
        """The result, if it was made before."""
        found = self._kept.get((id(way), id(value)))
        return None if found is None else found[2]

    def put(self, way: object, value: Any, result: Result) -> Result:
        """Keep a result for the others."""
        key, weight = (id(way), id(value)), len(result)
        if key not in self._kept and self._weight + weight <= MOST:
            self._kept[key] = KeyedRef(value, self._forget, key), way, result
            self._weight += weight
        return result

    def _forget(self, gone: KeyedRef[_Key, Any]) -> None:
        self._weight -= len(self._kept.pop(gone.key)[2])
