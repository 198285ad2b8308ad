"""The life of a backup or a restore as one table: state × event → new state, guard, SQL.

As with deployments, every transition is one conditional UPDATE by the database's clock, and when no row comes back somebody else was
faster. Tasks of one database run one after the other, in the order in which they were asked for, and never while its service is
being changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Final
from uuid import UUID

from models import DatabaseBackup, DatabaseRestore, TaskStatus
from models.bell import wake_soon
from models.database import after_commit, database, joined
from models.lifecycle import UNFINISHED
from workers.states import numbered

LEASE: Final = 30
"""Seconds that a worker owns a task without renewing."""
MOST_ATTEMPTS: Final = 3
LONGEST_WAIT: Final = "24 hours"
TABLES: Final = (DatabaseBackup.Meta.table, DatabaseRestore.Meta.table)

Kind = type[DatabaseBackup] | type[DatabaseRestore]

_S = TaskStatus


class Event(Enum):
    """What can happen to a task."""

    start = "start"
    renew = "renew"
    hand_back = "hand_back"
    """Its worker stops; another one begins it anew, which is no attempt."""
    take_over = "take_over"
    complete = "complete"
    fail = "fail"
    lose = "lose"
    expire = "expire"
    cancel = "cancel"
    """Before it has begun: it ends at once."""
    ask_cancel = "ask_cancel"
    stop = "stop"
    force_stop = "force_stop"


@dataclass(frozen=True)
class Transition:
    """One row of the table. Guard and assignments are SQL over `t`."""

    sources: frozenset[TaskStatus]
    target: TaskStatus
    guard: str = "true"
    assign: str = ""


_PENDING, _RUNNING = frozenset({_S.pending}), frozenset({_S.running})
_HELD = "t.epoch = :epoch and t.worker = :worker"
_LOST = "t.epoch = :epoch and coalesce(t.lease_until, '-infinity') < now()"
_ASKED = "t.cancel_requested_at is not null"
_FREE = "worker = null, lease_until = null"
_LEASED = f"lease_until = now() + interval '{LEASE} seconds'"
_ENDED = f"{_FREE}, finished_at = now(), started_at = coalesce(t.started_at, now())"
_UNSETTLED = "exists (select from database d where d.id = t.database_id and (d.settle_until > now() or d.wished > d.granted))"
FIRST: Final = " and ".join(
    f"not exists (select from {table} o where o.database_id = t.database_id and o.id <> t.id "
    "and (o.status = 'running' or (o.status = 'pending' and o.id < t.id)))"
    for table in TABLES
)
READY: Final = f"{FIRST} and not {_UNSETTLED}"

TABLE: Final[Mapping[Event, Transition]] = {
    Event.start: Transition(
        _PENDING,
        _S.running,
        READY,
        f"worker = :worker, {_LEASED}, epoch = t.epoch + 1, attempt = t.attempt + 1, started_at = coalesce(t.started_at, now()), "
        "step = null, transferred = 0",
    ),
    Event.renew: Transition(_RUNNING, _S.running, _HELD, _LEASED),
    Event.hand_back: Transition(_RUNNING, _S.pending, _HELD, f"{_FREE}, attempt = t.attempt - 1"),
    Event.take_over: Transition(_RUNNING, _S.pending, f"{_LOST} and t.attempt < {MOST_ATTEMPTS}", _FREE),
    Event.complete: Transition(_RUNNING, _S.completed, _HELD, _ENDED),
    Event.fail: Transition(_RUNNING, _S.failed, _HELD, _ENDED),
    Event.lose: Transition(_RUNNING, _S.failed, f"{_LOST} and t.attempt >= {MOST_ATTEMPTS}", _ENDED),
    Event.expire: Transition(_PENDING, _S.failed, f"t.created_at < now() - interval '{LONGEST_WAIT}'", _ENDED),
    Event.cancel: Transition(_PENDING, _S.cancelled, "true", _ENDED),
    Event.ask_cancel: Transition(_RUNNING, _S.running, f"not {_ASKED}", "cancel_requested_at = now()"),
    Event.stop: Transition(_RUNNING, _S.cancelled, f"{_HELD} and {_ASKED}", _ENDED),
    Event.force_stop: Transition(_RUNNING, _S.cancelled, f"t.epoch = :epoch and {_ASKED}", _ENDED),
}
UNSETTLING: Final = frozenset(
    {Event.fail, Event.lose, Event.stop, Event.force_stop, Event.hand_back, Event.take_over, Event.cancel, Event.expire}
)
"""After these a restore may have left its database's service as nobody wants it: it is brought back before anything else is done."""


@dataclass(frozen=True)
class Change:
    """What is asked of one task: the event, who asks, and what else is to be stored with it."""

    kind: Kind
    event: Event
    id: UUID
    epoch: int = 0
    worker: str = ""
    store: Mapping[str, Any] = field(default_factory=dict)


def sql(change: Change) -> tuple[str, list[Any]]:
    """The conditional UPDATE of a change, and its parameters."""
    transition = TABLE[change.event]
    assignments = ", ".join(["status = :target", *filter(None, [transition.assign]), *(f"{name} = :{name}" for name in change.store)])
    statement = (
        f"update {change.kind.Meta.table} t set {assignments} where t.id = :id and t.status = any(:sources) "  # noqa: S608
        f"and ({transition.guard}) returning t.id, t.database_id, t.status, t.epoch, t.attempt, t.cancel_requested_at"
    )
    sources = sorted(status.value for status in transition.sources)
    values = {"id": change.id, "sources": sources, "target": transition.target.value, "epoch": change.epoch, "worker": change.worker}
    return numbered(statement, {**change.store, **values})


async def apply(change: Change) -> dict[str, Any] | None:
    """Carry out a change. The task's columns after it, None when its guard did not hold.

    The database's row is taken first, as everybody does who touches a database and its tasks. Whoever follows the task is woken.
    """
    async with joined() as connection:
        if change.event is not Event.renew:
            await connection.execute_query(
                f"select from database where id = (select database_id from {change.kind.Meta.table} where id = $1) for update",  # noqa: S608
                [change.id],
            )
        rows = await connection.execute_query_dict(*sql(change))
        if not rows:
            return None
        row = rows[0]
        if change.kind is DatabaseRestore:
            await _follow(change)
    if change.event is not Event.renew:
        after_commit(partial(wake_soon, change.id))
    return row


async def is_lent(id: UUID) -> bool:
    """Whether another database is being filled with a backup of this one."""
    lent = DatabaseRestore.filter(backup__database_id=id, status__in=UNFINISHED)
    return await lent.exclude(database_id=id).exists()


_BACK = """
    update database d set volume = coalesce(r.volume, d.volume), {also} from database_restore r
    where r.id = $1 and d.id = r.database_id and r.epoch > 0
"""
_DONE = """
    update database d set status = case when d.stopped then 'stopped' else 'running' end, error_message = null, wished = d.wished + 1
    from database_restore r where r.id = $1 and d.id = r.database_id
"""
"""The settler removes the volume that had the data before."""


async def _follow(change: Change) -> None:
    """Let a database follow a restore: one that begins, or does not get to its end, has the data that were there before."""
    if change.event is Event.start:
        await database().execute_query(_BACK.format(also="status = 'restoring'"), [change.id])
    elif change.event in UNSETTLING:
        await database().execute_query(_BACK.format(also="wished = d.wished + 1"), [change.id])
    elif change.event is Event.complete:
        await database().execute_query(_DONE, [change.id])
