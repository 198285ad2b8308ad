"""Restarts: the containers that ended by themselves and were replaced, each noted once, for the rules that count them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

from models.database import database
from workers.convergence import Task

KEPT: Final = timedelta(hours=2)
"""Longer than any rule looks back."""

SKEW: Final = timedelta(seconds=2)
"""By which a host's clock may be ahead of that of Swarm's manager."""

_ENDED: Final = frozenset({"failed", "complete", "rejected", "orphaned"})
_NOTE: Final = """
    insert into restart (task_id, application_id, at)
    select each.task, each.application, each.at from unnest($1::text[], $2::uuid[], $3::timestamptz[]) as each (task, application, at)
    where exists (select from application where id = each.application) on conflict do nothing
"""


def restarted(tasks: Sequence[Task]) -> list[Task]:
    """Those of a version that ended by themselves: the next task of their slot is of the same wish, and was made after they had ended."""
    slots: dict[int | None, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda each: each.created_at):
        slots[task.slot].append(task)
    return [
        task
        for found in slots.values()
        for task, successor in pairwise(found)
        if task.state in _ENDED and successor.force == task.force and successor.created_at >= task.timestamp - SKEW
    ]


async def note(found: Mapping[UUID, Sequence[Task]]) -> None:
    """Note the restarts of applications; those that are noted already stay as they are, and old ones are none of it."""
    since = datetime.now(UTC) - KEPT
    noted = [(task, application) for application, tasks in found.items() for task in tasks if task.timestamp > since]
    if noted:
        columns = [task.id for task, _ in noted], [application for _, application in noted], [task.timestamp for task, _ in noted]
        await database().execute_query(_NOTE, list(columns))


async def forget() -> None:
    """Delete those that no rule counts any more; Swarm forgets them, too."""
    await database().execute_query("delete from restart where at < $1", [datetime.now(UTC) - 2 * KEPT])
