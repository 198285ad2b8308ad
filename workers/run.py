"""A stage as it is declared, and one attempt at it.

@stage(StageName.cloning, deadline=600)
async def clone(run: Run) -> Stored: ...
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
from models import StageName
from models.database import database
from workers import rings
from workers.desired import labels_of, tag_of
from workers.journal import CancelRequested, Journal, LeaseLost
from workers.patience import patiently
from workers.runtime import Runtime
from workers.states import LEASE, Change, Event
from workers.transitions import apply

Stored = Mapping[str, Any]
"""Columns of the deployment that a stage's result is stored in."""


class StageFailed(Exception):
    """The stage cannot succeed: a code, a sentence the user can act on, and the last lines of what failed."""

    def __init__(self, code: str, message: str, output: tuple[str, ...] | list[str] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.output = code, message, tuple(output)


@dataclass(frozen=True)
class Stage:
    """One stage of a task graph: its name, its work, after how many seconds it has failed, and how what it did is taken back.

    `undo` is called when the deployment is cancelled, after the work was ended in the middle or when it had not begun.
    """

    name: StageName
    work: Callable[["Run"], Awaitable[Stored]]
    deadline: float
    undo: Callable[["Run"], Awaitable[None]] | None = None

    @property
    def actor(self) -> str:
        """The name of its actor."""
        return rings.ACTORS[self.name]


def stage(
    name: StageName, *, deadline: float, undo: Callable[["Run"], Awaitable[None]] | None = None
) -> Callable[[Callable[["Run"], Awaitable[Stored]]], Stage]:
    """Declare a stage."""
    return lambda work: Stage(name, work, deadline, undo)


@dataclass(frozen=True)
class Run:
    """One attempt at one stage of a deployment. Side effects are named after (deployment, epoch)."""

    runtime: Runtime
    deployment: models.Deployment
    stage: StageName
    journal: Journal

    @property
    def config(self) -> dict[str, Any]:
        """The configuration frozen when the deployment was asked for."""
        snapshot: dict[str, Any] = self.deployment.snapshot
        return snapshot

    @property
    def tag(self) -> str:
        """`<deployment>-<epoch>`."""
        return tag_of(self.deployment)

    @property
    def directory(self) -> Path:
        """The work directory."""
        return self.runtime.work / self.tag

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that this run makes."""
        return labels_of(self.deployment, self.runtime.installation)

    def change(self, event: Event, *, message: str = "", stage: StageName | None = None, store: Stored | None = None) -> Change:
        """A change that only the holder of this run may make."""
        return Change(event, self.deployment.id, self.deployment.epoch, self.runtime.name, stage or self.stage, message, store or {})

    async def is_questioned(self) -> bool:
        """Whether somebody has asked for its end, or somebody else has it.

        Asked where the lease is renewed: connections that have died there are found out once, and not once more by the renewal.
        """
        statement = "select cancel_requested_at from deployment where id = $1 and epoch = $2 and worker = $3"
        rows = await database().execute_query_dict(statement, [self.deployment.id, self.deployment.epoch, self.runtime.name])
        return not rows or rows[0]["cancel_requested_at"] is not None

    async def still_held(self) -> None:
        """Renew the lease, before something outside is touched. Raises `LeaseLost` and `CancelRequested`."""
        if (await self._renewed())["cancel_requested_at"] is not None:
            raise CancelRequested

    async def hold(self) -> None:
        """Renew the lease, before something is taken back. Raises `LeaseLost`."""
        await self._renewed()

    async def _renewed(self) -> dict[str, Any]:
        row = await patiently(lambda: apply(self.change(Event.renew)), LEASE)
        if row is None:
            raise LeaseLost
        return row
