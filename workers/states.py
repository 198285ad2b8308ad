"""The life of a deployment as one table: state × event → new state, guard, SQL (PIPELINE 3).

Every transition is one conditional UPDATE by the database's clock. When no row comes back somebody else was faster: the message
that asked for it is dropped. `workers.transitions` carries them out, each with everything that belongs to it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID

from models import DeploymentKind, DeploymentStatus, StageName
from models.lifecycle import ACTIVE, IS_ACTIVE, LIVING, PENDING

LEASE = 30
"""Seconds that a worker owns a stage without renewing."""
MOST_ATTEMPTS = 3
LONGEST_LIFE, LONGEST_WAIT = "6 hours", "24 hours"
"""After that a deployment that was started, or one that waits, has failed."""

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
    expire = "expire"
    cancel = "cancel"
    """Before it has begun: it ends at once."""
    ask_cancel = "ask_cancel"
    """While somebody works on it: whoever holds it stops, takes back what it has done, and `stop`s it."""
    stop = "stop"
    force_stop = "force_stop"
    """The reconciler ends what was asked to be cancelled and nobody stops."""


@dataclass(frozen=True)
class Transition:
    """One row of the table. `target` None means: the stage that the caller names. Guard and assignments are SQL over `d`."""

    sources: frozenset[DeploymentStatus]
    target: DeploymentStatus | None
    guard: str = "true"
    assign: str = ""
    unsettles: bool = False
    """Whether the service may be left in between, so that it has to be brought back to what the last success recorded."""


_HELD = "d.epoch = :epoch and d.worker = :worker"
_HERE = "d.status = :stage"
_LOST = "d.epoch = :epoch and d.worker is not null and coalesce(d.lease_until, '-infinity') < now()"
_ASKED = "d.cancel_requested_at is not null"
_FREE = "worker = null, lease_until = null"
_MINE = f"worker = :worker, lease_until = now() + interval '{LEASE} seconds'"
_ENDED = (
    f"{_FREE}, finished_at = now(), "
    "duration = round(extract(epoch from now() - coalesce(d.started_at, now()))), started_at = coalesce(d.started_at, now())"
)
_RETURNED = (
    "d.id, d.application_id, d.project_id, d.kind, d.status, d.epoch, d.attempt, d.worker, d.force, d.cancel_requested_at, "
    "d.superseded_by, d.trigger, d.branch, d.commit_sha, d.commit_message, d.duration, d.error_code, d.error_message, "
    "(select a.name from application a where a.id = d.application_id) as application_name"
)
FIRST_IN_LINE = f"""not exists (
    select from deployment o where o.application_id = d.application_id and o.id <> d.id
    and (o.{IS_ACTIVE} or (o.status = 'pending' and o.id < d.id)))"""
_SERVICE_FREE = """(:stage <> 'deploying' or not exists (
    select from application a where a.id = d.application_id and a.settle_until > now()))"""
"""Nobody is just scaling, restarting or removing the service."""
TOO_OLD = f"""(d.status = 'pending' and d.created_at < now() - interval '{LONGEST_WAIT}'
    or d.{IS_ACTIVE} and d.started_at < now() - interval '{LONGEST_LIFE}')"""

TABLE: Mapping[Event, Transition] = {
    Event.start: Transition(
        PENDING,
        None,
        f"{FIRST_IN_LINE} and {_SERVICE_FREE}",
        f"{_MINE}, epoch = d.epoch + 1, attempt = d.attempt + 1, started_at = coalesce(d.started_at, now()), queue_position = null",
    ),
    Event.claim: Transition(ACTIVE, None, f"d.worker is null and {_HERE} and {_SERVICE_FREE}", _MINE),
    Event.renew: Transition(ACTIVE, None, f"{_HELD} and {_HERE}", _MINE),
    Event.hand_over: Transition(ACTIVE, None, _HELD, _FREE),
    Event.hand_back: Transition(ACTIVE, None, f"{_HELD} and {_HERE}", _FREE),
    Event.take_over: Transition(
        ACTIVE,
        None,
        f"{_LOST} and {_HERE} and d.attempt < {MOST_ATTEMPTS}",
        f"{_FREE}, epoch = d.epoch + 1, attempt = d.attempt + 1",
    ),
    Event.succeed: Transition(ACTIVE, _S.success, _HELD, f"{_ENDED}, progress = 100"),
    Event.fail: Transition(ACTIVE, _S.failed, _HELD, _ENDED, unsettles=True),
    Event.lose: Transition(ACTIVE, _S.failed, f"{_LOST} and d.attempt >= {MOST_ATTEMPTS}", _ENDED, unsettles=True),
    Event.expire: Transition(LIVING, _S.failed, f"d.epoch = :epoch and {TOO_OLD}", _ENDED, unsettles=True),
    Event.cancel: Transition(PENDING, _S.cancelled, "true", _ENDED),
    Event.ask_cancel: Transition(ACTIVE, None, f"not {_ASKED} and {_HERE}", "cancel_requested_at = now()"),
    Event.stop: Transition(ACTIVE, _S.cancelled, f"{_HELD} and {_ASKED}", _ENDED, unsettles=True),
    Event.force_stop: Transition(ACTIVE, _S.cancelled, f"d.epoch = :epoch and {_ASKED}", _ENDED, unsettles=True),
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
        f"returning {_RETURNED}",
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
