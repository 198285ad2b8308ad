"""What a worker gives back."""

import gc
import weakref
from typing import cast

from workers.memory import give_back
from workers.runtime import Runtime


class Connection:
    """Its parts point at each other."""

    def __init__(self) -> None:
        self.transport = [self]


async def test_a_closed_connection_is_found() -> None:
    gc.disable()
    try:
        closed = Connection()
        seen = weakref.ref(closed)
        del closed
        assert seen() is not None, "nothing else has collected it"
        await give_back(cast("Runtime", None))
        assert seen() is None
    finally:
        gc.enable()
