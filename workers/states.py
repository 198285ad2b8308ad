"""The life of a deployment as one table: state × event → new state, guard, SQL (PIPELINE 3).

Every transition is one conditional UPDATE by the database's clock. When no row comes back somebody else was faster: the message
that asked for it is dropped. The transition, the stage's row, the application's status and the event are one transaction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.transactions import in_transaction

from models import DeploymentKind, DeploymentStatus, EventKind, LogLevel, StageName
from models.database import after_commit, is_together
from models.events import Entry, append, wake, wake_soon
from models.lifecycle import ACTIVE, IS_ACTIVE, LIVING, PENDING, TERMINAL

LEASE = 30
"""Seconds that a worker owns a stage without renewing."""
MOST_ATTEMPTS = 3

_S = DeploymentStatus

TASK_GRAPHS: Mapping[DeploymentKind, tuple[StageName, ...]] = {
    DeploymentKind.git: (StageName.cloning, StageName.building, StageName.deploying),
    DeploymentKind.image: (StageName.deploying,),
    DeploymentKind.config: (StageName.deploying,),
    DeploymentKind.rollback: (StageName.deploying,),
}


class Event(Enum):
    """What can happen to a deployment."""

    start = "start"
    claim = "claim"
    renew = "renew"
    hand_over = "hand_over"
    hand_back = "hand_back"
    take_over = "take_over"
    succeed = "succeed"
    fail = "fail"
    lose = "lose"
    cancel = "cancel"


@dataclass(frozen=True)
class Transition:
    """One row of the table. `target` None means: the stage that the caller names. Guard and assignments are SQL over `d`."""

    sources: frozenset[DeploymentStatus]
    target: DeploymentStatus | None
    guard: str = "true"
    assign: str = ""
    keeps_stage: bool = False


_HELD = "d.epoch = :epoch and d.worker = :worker"
_FREE = "worker = null, lease_until = null"
_MINE = f"worker = :worker, lease_until = now() + interval '{LEASE} seconds'"
_ENDED = (
    f"{_FREE}, finished_at = now(), "
    "duration = round(extract(epoch from now() - coalesce(d.started_at, now()))), started_at = coalesce(d.started_at, now())"
)
_FIRST_IN_LINE = f"""not exists (
    select from deployment o where o.application_id = d.application_id and o.id <> d.id
    and (o.{IS_ACTIVE} or (o.status = 'pending' and o.id < d.id)))"""

TABLE: Mapping[Event, Transition] = {
    Event.start: Transition(
        PENDING, None, _FIRST_IN_LINE, f"{_MINE}, epoch = d.epoch + 1, attempt = d.attempt + 1, started_at = coalesce(d.started_at, now())"
    ),
    Event.claim: Transition(ACTIVE, None, "d.worker is null and d.status = :stage", _MINE, keeps_stage=True),
    Event.renew: Transition(ACTIVE, None, f"{_HELD} and d.status = :stage", _MINE, keeps_stage=True),
    Event.hand_over: Transition(ACTIVE, None, _HELD, _FREE),
    Event.hand_back: Transition(ACTIVE, None, f"{_HELD} and d.status = :stage", _FREE, keeps_stage=True),
    Event.take_over: Transition(
        ACTIVE,
        None,
        f"d.epoch = :epoch and d.status = :stage and d.worker is not null and d.lease_until < now() and d.attempt < {MOST_ATTEMPTS}",
        f"{_FREE}, epoch = d.epoch + 1, attempt = d.attempt + 1",
        keeps_stage=True,
    ),
    Event.succeed: Transition(ACTIVE, _S.success, _HELD, f"{_ENDED}, progress = 100"),
    Event.fail: Transition(ACTIVE, _S.failed, _HELD, _ENDED),
    Event.lose: Transition(
        ACTIVE, _S.failed, f"d.epoch = :epoch and d.worker is not null and d.lease_until < now() and d.attempt >= {MOST_ATTEMPTS}", _ENDED
    ),
    Event.cancel: Transition(LIVING, _S.cancelled, "true", _ENDED),
}


@dataclass(frozen=True)
class Change:
    """What is asked of one deployment: the event, who asks, and what else is to be stored with it."""

    event: Event
    deployment: UUID
    epoch: int = 0
    worker: str = ""
    stage: StageName | None = None
    """The stage to be in afterwards; for an event that ends the deployment, unused."""
    message: str = ""
    store: Mapping[str, Any] = field(default_factory=dict)

    @property
    def transition(self) -> Transition:
        """Its row of the table."""
        return TABLE[self.event]


def numbered(text: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """SQL with `:name` parameters as Postgres wants it: `$1`, `$2` … and the values that it uses, in that order."""
    used = list(dict.fromkeys(re.findall(r"(?<!:):([a-z_]+)", text)))
    return re.sub(r"(?<!:):([a-z_]+)", lambda match: f"${used.index(match[1]) + 1}", text), [values[name] for name in used]


def sql(change: Change) -> tuple[str, list[Any]]:
    """The conditional UPDATE of a change, and its parameters."""
    transition = change.transition
    target = transition.target or DeploymentStatus((change.stage or StageName.deploying).value)
    stored = [f"{column} = :{column}" for column in change.store]
    assignments = ", ".join(["status = :target", *filter(None, [transition.assign]), *stored])
    return numbered(
        f"update deployment d set {assignments} where d.id = :id and d.status = any(:sources) and ({transition.guard}) "  # noqa: S608
        "returning d.id, d.application_id, d.project_id, d.kind, d.status, d.epoch, d.attempt, d.worker, d.force",
        {
            **change.store,
            "id": change.deployment,
            "sources": sorted(status.value for status in transition.sources),
            "target": target.value,
            "stage": target.value,
            "epoch": change.epoch,
            "worker": change.worker,
        },
    )


async def apply(change: Change) -> dict[str, Any] | None:
    """Carry out a change with everything that belongs to it, or nothing at all.

    Returns the deployment's columns after it, None when its guard did not hold.
    """
    async with in_transaction() as connection:
        if change.event is not Event.renew:
            await connection.execute_query(_LOCK, [change.deployment])
        statement, parameters = sql(change)
        rows = await connection.execute_query_dict(statement, parameters)
        if not rows:
            return None
        row = rows[0]
        if change.event is not Event.renew:
            await _stages(connection, change, row)
            await _application(connection, row)
            await append(connection, change.deployment, [_entry(change, row)])
    if change.event is not Event.renew:
        if is_together():
            after_commit(partial(wake_soon, change.deployment))
        else:
            await wake(change.deployment)
    return row


def _entry(change: Change, row: Mapping[str, Any]) -> Entry:
    failed = row["status"] == _S.failed
    return Entry(EventKind.status, change.message or str(row["status"]), LogLevel.error if failed else LogLevel.info)


async def _stages(connection: BaseDBAsyncClient, change: Change, row: Mapping[str, Any]) -> None:
    status = DeploymentStatus(row["status"])
    if status in TERMINAL:
        running = "completed" if status is _S.success else "failed" if status is _S.failed else "skipped"
        await connection.execute_query(
            "update stage set status = case status when 'running' then $2 else 'skipped' end, "
            "finished_at = case status when 'running' then now() end where deployment_id = $1 and status in ('running', 'pending')",
            [change.deployment, running],
        )
        return
    if change.event in (Event.start, Event.claim):
        await connection.execute_query(
            "update stage set status = 'running', started_at = coalesce(started_at, now()) where deployment_id = $1 and name = $2",
            [change.deployment, status.value],
        )
    if change.event is Event.hand_over:
        await connection.execute_query(
            "update stage set status = 'completed', finished_at = now() where deployment_id = $1 and status = 'running'",
            [change.deployment],
        )


_LOCK = "select from application where id = (select application_id from deployment where id = $1) for update"
"""Taken first, as everybody does who touches an application and its deployments: in one order there is no deadlock."""

_RUNS = "case when replicas = 0 then 'stopped' else 'running' end"
_LIVE = "exists (select from deployment s where s.application_id = application.id and s.status = 'success')"


async def _application(connection: BaseDBAsyncClient, row: Mapping[str, Any]) -> None:
    """Let the application's status follow: a failed deployment leaves the version before it running."""
    status = DeploymentStatus(row["status"])
    if status is _S.pending:
        return
    if status in ACTIVE:
        new = "'deploying'"
    else:
        nothing_runs = "'error'" if status is _S.failed else "'pending'"
        new = f"case when {_LIVE} then {_RUNS} else {nothing_runs} end"
    await connection.execute_query(
        f"update application set status = {new} where id = $1 and status is distinct from {new}",  # noqa: S608
        [row["application_id"]],
    )
