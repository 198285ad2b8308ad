"""Memory that was freed goes back to the system, and what could be freed is found: else a worker would seem to grow.

Closed connections are garbage whose parts point at each other; by itself the collector finds it after many minutes. And glibc keeps
what is freed, spread over the heaps of its threads.
"""

import asyncio
import ctypes
import gc

from workers.runtime import Runtime

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Other C libraries have none."""


async def give_back(runtime: Runtime) -> None:
    """Give back whatever lies unused; what the worker began with is set aside, so that this takes a millisecond."""
    gc.collect()
    if _trim is not None:
        await asyncio.to_thread(_trim, 0)
