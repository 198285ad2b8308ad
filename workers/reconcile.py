"""The reconciler: one leader among all workers looks every few seconds for what nobody works on (PIPELINE 6)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from models import Project, Session, WebhookDelivery, answers, counts
from models.bell import wake
from models.database import database, own_connection
from workers import commit_status, leftovers, line, memory, observe, orphans, rescue, restarts, retention
from workers.alerts import watch as alerts
from workers.databases import observe as databases_observe
from workers.databases import rescue as databases
from workers.databases.schedule import make_due
from workers.databases.upkeep import discard_void, remove_partial
from workers.notifications import outbox
from workers.runtime import Runtime

log = structlog.get_logger()

INTERVAL = 5.0
"""Seconds between two looks."""
KEPT_PROJECTS = timedelta(days=30)
"""How long a deleted project keeps its row (DECISIONS 22)."""
KEPT_DELIVERIES = timedelta(days=30)
"""How long webhooks are listed."""
SILENCE = 8
"""Seconds without a word after which Postgres takes the lead away: a leader that is frozen still has its connection."""
_LEADER = 0x6C656164

Duty = Callable[[Runtime], Awaitable[None]]


async def _tell_the_line(runtime: Runtime) -> None:
    """Tell everybody who waits when their place has changed."""
    if moved := await line.told(database()):
        await wake(*moved)


async def _clear_away(runtime: Runtime) -> None:
    """Delete the rows that have expired, and add up those of counts."""
    await counts.add_up()
    await answers.forget_expired()
    await alerts.forget()
    await restarts.forget()
    await outbox.forget()
    await WebhookDelivery.filter(created_at__lt=datetime.now(UTC) - KEPT_DELIVERIES).delete()
    await Session.filter(expires_at__lt=datetime.now(UTC)).delete()
    empty = " and ".join(f"not exists (select from {table} r where r.project_id = project.id)" for table in ("application", "database"))
    before = datetime.now(UTC) - KEPT_PROJECTS
    await database().execute_query(f"delete from {Project.Meta.table} where deleted_at < $1 and {empty}", [before])  # noqa: S608


RESCUE: tuple[Duty, ...] = (
    rescue.carry_out_cancellations,
    rescue.take_over,
    rescue.end_what_is_too_old,
    rescue.ring,
    databases.rescue,
    make_due,
    _tell_the_line,
)
"""What the leader does every few seconds, in this order; one that fails is reported and the next goes on."""
WATCHES: tuple[Duty, ...] = (alerts.watch,)
"""What it measures with the rules of all applications, beside both: many of them take a while."""
REPORTS: tuple[Duty, ...] = (commit_status.report,)
"""What it tells others beside both: somebody who does not listen keeps nobody waiting."""
NOTICES: tuple[Duty, ...] = (outbox.send,)
"""The same for those whom the projects name: they are many, and others."""
UPKEEP: tuple[Duty, ...] = (
    observe.refresh,
    databases_observe.refresh,
    retention.keep,
    leftovers.remove,
    discard_void,
    remove_partial,
    _clear_away,
)
"""What it does beside that, for as long as it takes: an engine that does not answer keeps nobody from being rescued."""
ON_EACH_HOST: tuple[Duty, ...] = (leftovers.remove_directories, orphans.end, memory.give_back)
"""What every worker does, on its host and in its process."""


async def run(runtime: Runtime) -> None:
    """Lead whenever nobody else does, until cancelled; one bad row, or the database being away, never stops it.

    Whoever leads takes the lock again each time: that is how it hears that the lead was taken away.
    """
    beside = {duties: asyncio.create_task(asyncio.sleep(0)) for duties in (UPKEEP, WATCHES, REPORTS, NOTICES)}
    try:
        while True:
            try:
                async with own_connection() as connection:
                    await connection.execute(f"set idle_session_timeout = '{SILENCE}s'")
                    while True:
                        await _each(ON_EACH_HOST, runtime)
                        if await connection.fetchval("select pg_try_advisory_lock($1)", _LEADER):
                            await _each(RESCUE, runtime)
                            for duties, task in beside.items():
                                if task.done():
                                    beside[duties] = asyncio.create_task(_each(duties, runtime))
                        await asyncio.sleep(INTERVAL)
            except Exception as error:
                log.warning("reconcile.interrupted", error=str(error))
                await asyncio.sleep(1)
    finally:
        for task in beside.values():
            task.cancel()


async def tick(runtime: Runtime) -> None:
    """One look at everything."""
    await _each((*RESCUE, *UPKEEP, *WATCHES, *REPORTS, *NOTICES), runtime)


async def _each(duties: Sequence[Duty], runtime: Runtime) -> None:
    for duty in duties:
        await _dutifully(duty, runtime)


async def _dutifully(duty: Duty, runtime: Runtime) -> None:
    try:
        await duty(runtime)
    except Exception as error:
        log.warning("reconcile.failed", duty=f"{duty.__module__}.{duty.__name__}", error=repr(error))
