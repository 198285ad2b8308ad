"""What was used last, up to a weight: a cache that nobody can make grow."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values by key; those that were used longest ago go first when all together weigh more than `most`."""

    def __init__(self, most: int) -> None:
        self.weight = 0
        """Of all that is kept."""
        self._most = most
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        """Whether there is a value for a key."""
        return key in self._kept

    def get(self, key: Key) -> Value | None:
        """What is kept for a key, which has now been used."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, weight: int) -> None:
        """Keep a value for a key, in place of what was kept for it; one that is too heavy alone is not kept."""
        if weight > self._most:
            return
        _, before = self._kept.pop(key, (None, 0))
        self._kept[key] = value, weight
        self.weight += weight - before
        while self.weight > self._most:
            self.weight -= self._kept.popitem(last=False)[1][1]
