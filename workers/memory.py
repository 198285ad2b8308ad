"""Memory that was freed goes back to the system: glibc keeps it, spread over the heaps of its threads, and a worker would seem to grow."""

import asyncio
import ctypes

from workers.runtime import Runtime

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Other C libraries have none."""


async def give_back(runtime: Runtime) -> None:
    """Give back whatever lies unused."""
    if _trim is not None:
        await asyncio.to_thread(_trim, 0)
