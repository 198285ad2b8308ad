"""Work that nobody waits for: the event loop alone would forget a task that nothing else holds."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Found = TypeVar("Found")

_under_way: set[asyncio.Task[Any]] = set()


def start(work: Coroutine[Any, Any, Found]) -> asyncio.Task[Found]:
    """Let it run to its end in the background; whoever wants to know about it may look at the task."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return task
