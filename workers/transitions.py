"""Carrying out a transition: the deployment, its stages, its application's status and its event, all in one transaction or not at all."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient

from models import DeploymentStatus, EventKind, LogLevel
from models.bell import wake_soon
from models.database import after_commit, joined
from models.events import Entry, append
from models.lifecycle import ACTIVE, TERMINAL
from workers import line
from workers.results import queue_result
from workers.states import Change, Event, sql

_S = DeploymentStatus

_LOCK = "select from application where id = (select application_id from deployment where id = $1) for update"
"""Taken first, as everybody does who touches an application and its deployments: in one order there is no deadlock."""

_RUNS = "case when replicas = 0 then 'stopped' else 'running' end"
_LIVE = "exists (select from deployment s where s.application_id = application.id and s.status = 'success')"


_REMEMBER = """
    update application a set health_status = case when a.replicas = 0 then 'unknown' else 'healthy' end,
        image = case when d.commit_sha is null then a.image else d.image end,
        last_commit_sha = coalesce(d.commit_sha, a.last_commit_sha),
        last_sync = case when d.commit_sha is null then a.last_sync else d.started_at end
    from deployment d where d.id = $1 and a.id = d.application_id
"""
"""Shows on the application what it runs now."""


async def apply(change: Change) -> dict[str, Any] | None:
    """Carry out a change with everything that belongs to it, or nothing at all.

    Returns the deployment's columns after it, None when its guard did not hold.
    """
    async with joined() as connection:
        if change.event is not Event.renew:
            await connection.execute_query(_LOCK, [change.deployment])
        statement, parameters = sql(change)
        rows = await connection.execute_query_dict(statement, parameters)
        if not rows:
            return None
        row = rows[0]
        if change.event is Event.renew:
            return row
        await _stages(connection, change, row)
        await _application(connection, change, row)
        await append(connection, change.deployment, [_entry(change, row)])
        if row["status"] in TERMINAL:
            await queue_result(row)
        moved = await _line_moves(connection, change, row)
    after_commit(partial(wake_soon, change.deployment, *moved))
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


async def _application(connection: BaseDBAsyncClient, change: Change, row: Mapping[str, Any]) -> None:
    """Let the application's status follow: a failed deployment leaves the version before it running."""
    status = DeploymentStatus(row["status"])
    if status in ACTIVE:
        new = "'deploying'"
    else:
        nothing_runs = "'error'" if status is _S.failed else "'pending'"
        new = f"case when {_LIVE} then {_RUNS} else {nothing_runs} end"
    await connection.execute_query(
        f"update application set status = {new} where id = $1 and status is distinct from {new}",  # noqa: S608
        [row["application_id"]],
    )
    if status is _S.success:
        await connection.execute_query(_REMEMBER, [change.deployment])
    if change.transition.unsettles:
        await connection.execute_query("update application set wished = wished + 1 where id = $1", [row["application_id"]])


async def _line_moves(connection: BaseDBAsyncClient, change: Change, row: Mapping[str, Any]) -> list[Any]:
    """Tell those who wait behind it, when it leaves the line or lets the next one in."""
    if change.event is not Event.start and row["status"] not in TERMINAL:
        return []
    return await line.told(connection, row["application_id"])
