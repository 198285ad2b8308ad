"""How far a backup or a restore is, for whoever follows it: the row as it is, then as it has become, up to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, TypeVar
from uuid import UUID

from models.bell import bell
from models.databases import DatabaseBackup, DatabaseRestore
from models.lifecycle import UNFINISHED

PACE: Final = 0.3
"""Seconds between two states that are told: whatever changes meanwhile is told at once."""
_TOLD: Final = ("status", "step", "transferred", "error_code", "error_message")

T = TypeVar("T", DatabaseBackup, DatabaseRestore)


async def follow(kind: type[T], id: UUID, check: Callable[[], None]) -> AsyncGenerator[T]:
    """A task as it is at first, then whenever it has changed, at last as it has ended; nothing more once its row is gone.

    `check` comes before each state, and once in `PATIENCE` of the bell at least; what it raises ends this.
    """
    told: tuple[Any, ...] = ()
    with bell.heard(id) as ear:
        while True:
            ear.clear()
            task = await kind.get_or_none(id=id)
            if task is None:
                return
            check()
            if (state := _state(task)) != told:
                told = state
                yield task
                if task.status not in UNFINISHED:
                    return
                await asyncio.sleep(PACE)
            await ear.wait()


def _state(task: DatabaseBackup | DatabaseRestore) -> tuple[Any, ...]:
    return tuple(getattr(task, name) for name in _TOLD)
