"""Coarser values are made of finer ones, which are then kept no longer than they are asked for.

Any monitor may do it at any time: one does while the others let it, and doing it again changes nothing. It goes on where it was left. The
last two values are always made anew, so they have in them what was stored late, and of the one that is under way as much as there is.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.transactions import in_transaction

from models.metrics import COUNTED, LEVELS, SAMPLES, Level, begin_of

LOCK: Final = 0x6D657472
"""The advisory lock of whoever rolls up."""
FORGOTTEN: Final = timedelta(days=1)
"""After which nobody expects a host back. What was deleted within that time loses its values, and else by their age."""
BATCH: Final = 50_000
"""Values that are deleted by one statement, so that it is soon done; the others are deleted the next time."""

_LAST: Final = "select max(at) as at from metric where resolution = $1 and at <= $2"
_ROLL: Final = """
    insert into metric (subject_id, resolution, at, node, cpu, memory, network_rx, network_tx, requests, errors)
    select subject_id, $2, date_bin($3, at, 'epoch'), '', avg(cpu), avg(memory)::bigint, sum(network_rx)::bigint, sum(network_tx)::bigint,
           sum(requests)::bigint, sum(errors)::bigint
    from (
        select subject_id, at, sum(cpu) as cpu, sum(memory) as memory, sum(network_rx) as network_rx, sum(network_tx) as network_tx,
               sum(requests) as requests, sum(errors) as errors
        from metric where resolution = $1 and at >= $4 and at <= $5 group by subject_id, at
        union all
        select application_id, created_at - $6::interval, null, null, null, null, requests, errors
        from traffic where $1 = $7 and created_at >= $4 + $6::interval and created_at <= $5
    ) finer
    group by 1, 3
    on conflict (subject_id, resolution, at, node) do update set
        cpu = excluded.cpu, memory = excluded.memory, network_rx = excluded.network_rx, network_tx = excluded.network_tx,
        requests = excluded.requests, errors = excluded.errors
"""
_OLD: Final = "delete from metric where ctid = any(array(select ctid from metric where resolution = $1 and at < $2 limit $3))"
_GONE: Final = """
    delete from metric where ctid = any(array(
        select m.ctid from metric m join (
            select id from application where deleted_at > $1 union all select id from database where deleted_at > $1
        ) gone on gone.id = m.subject_id limit $2
    ))
"""
_HOSTS: Final = "delete from metric_host where at < $1"


async def roll_up(now: datetime) -> bool:
    """Bring everything up to date. Whether it was done; else somebody else is about it."""
    async with in_transaction() as transaction:
        [found] = await transaction.execute_query_dict("select pg_try_advisory_xact_lock($1) as mine", [LOCK])
        if not found["mine"]:
            return False
        for finer, coarser in pairwise(LEVELS):
            await _rolled(transaction, finer, coarser, now)
        for level, made_of_it in zip(LEVELS, (*LEVELS[1:], None), strict=True):
            end = now - level.kept
            if made_of_it is not None:
                end = min(end, await _begin(transaction, made_of_it, now))
            await transaction.execute_query(_OLD, [level.seconds, end, BATCH])
        await transaction.execute_query(_GONE, [now - FORGOTTEN, BATCH])
        await transaction.execute_query(_HOSTS, [now - FORGOTTEN])
    return True


async def _rolled(transaction: BaseDBAsyncClient, finer: Level, coarser: Level, now: datetime) -> None:
    begin = await _begin(transaction, coarser, now)
    step = timedelta(seconds=coarser.seconds)
    await transaction.execute_query(_ROLL, [finer.seconds, coarser.seconds, step, begin, now, COUNTED, SAMPLES.seconds])


async def _begin(transaction: BaseDBAsyncClient, level: Level, now: datetime) -> datetime:
    """From when on values are made, the next time as well: what they are made of from there on must all be there."""
    step = timedelta(seconds=level.seconds)
    [last] = await transaction.execute_query_dict(_LAST, [level.seconds, now])
    return begin_of(now - level.kept, step) if last["at"] is None else last["at"] - step
