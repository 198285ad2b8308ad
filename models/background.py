"""Work that nobody waits for: the event loop alone would forget a task that nothing else holds."""

import asyncio
from collections.abc import Coroutine
from typing import Any

_under_way: set[asyncio.Task[Any]] = set()


def start(work: Coroutine[Any, Any, Any]) -> None:
    """Let it run to its end in the background."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
