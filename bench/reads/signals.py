"""Running a measurement so that a signal ends it in order: whatever it has started is stopped."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

INTERRUPTED = 130


def orderly(measurement: Coroutine[Any, Any, bool]) -> int:
    """Run to the end; the exit status: 0 when every bound holds, 1 when one was missed, 130 after a signal."""

    async def carried_out() -> bool:
        task = asyncio.ensure_future(measurement)
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, task.cancel)
        return await task

    try:
        return 0 if asyncio.run(carried_out()) else 1
    except asyncio.CancelledError:
        return INTERRUPTED
