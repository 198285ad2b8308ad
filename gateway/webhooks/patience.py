"""Senders whose unverified webhooks have been too many: they are sent away before the secrets of everybody are tried for them.

They are called as their bucket is (`gateway.ratelimit.whose`).
"""

from collections import OrderedDict
from time import monotonic
from typing import Final

from schema.errors import RateLimitExceeded

MOST: Final = 10_000
"""Addresses that are remembered."""


class Refused:
    """Who was refused, and until when."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, tuple[float, RateLimitExceeded]] = OrderedDict()

    def note(self, who: str, error: RateLimitExceeded) -> None:
        """Remember a refusal for as long as it says."""
        self._until[who] = monotonic() + int(error.headers["Retry-After"]), error
        self._until.move_to_end(who)
        if len(self._until) > MOST:
            self._until.popitem(last=False)

    def check(self, who: str) -> None:
        """Raise `RateLimitExceeded` again while it lasts."""
        until, error = self._until.get(who, (0.0, None))
        if error is None:
            return
        left = until - monotonic()
        if left <= 0:
            del self._until[who]
            return
        raise RateLimitExceeded(max(1, round(left)), **error.details)
