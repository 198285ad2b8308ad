"""The line: where each waiting deployment stands, how long it will take, and telling its followers when that moves (DECISIONS 21)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tortoise.backends.base.client import BaseDBAsyncClient

from models.database import database
from models.lifecycle import IS_ACTIVE, IS_LIVING
from models.settings import settings

DEFAULT_SECONDS = 60
NEAR, FAR = 10, 100
"""Positions whose followers are told at once when they move, and those that the leader tells; whoever stands further back can ask."""

_ASKED = "($1::uuid[] is null or id = any($1)) and ($2::uuid is null or application_id = $2)"
_MEDIAN = "percentile_cont(0.5) within group (order by duration)"
_LIVING = f"""
    living as (
        select d.id, d.application_id, d.status = 'pending' as waits,
               greatest(extract(epoch from now() - d.started_at), 0) as elapsed,
               count(*) filter (where d.status = 'pending') over mine as own,
               count(*) filter (where d.{IS_ACTIVE}) over (partition by d.application_id) as active
        from deployment d where d.{IS_LIVING} window mine as (partition by d.application_id order by d.id)
    ), fronts as (
        select id, row_number() over (order by id) as front from living where waits and own = 1 and active = 0
    ), placed as (
        select l.*, case when not l.waits then null
                         when f.front is not null then f.front
                         else l.own + (select count(*) from fronts) - (case when l.active = 0 then 1 else 0 end) end as position
        from living l left join fronts f using (id)
    )"""  # noqa: S608 (constants of our own)
"""A front is the first of its application, with nothing under way: fronts start in their order as soon as a worker has room."""

_TIMED = f"""
    , medians as (
        select a.application_id, coalesce(
            (select {_MEDIAN} from (
                select duration from deployment s where s.application_id = a.application_id and s.status = 'success'
                order by id desc limit 10) own),
            e.seconds) as seconds, e.seconds as others, e.active
        from (select distinct application_id from placed where {_ASKED}) a,
             (select coalesce((select {_MEDIAN} from (
                 select duration from deployment where status = 'success' order by id desc limit 100) everybody), {DEFAULT_SECONDS})
                 as seconds, (select greatest(count(*), 1) from living where not waits) as active) e
    ), timed as (
        select p.id, p.application_id, p.position, round(case when not p.waits then greatest(m.seconds - p.elapsed, 0) else
            m.seconds * p.own + coalesce(greatest(m.seconds - o.elapsed, 0), 0)
            + greatest(p.position - p.own, 0) * m.others / m.active end)::int as seconds
        from placed p join medians m using (application_id)
        left join (select application_id, elapsed from living where not waits) o using (application_id) where {_ASKED}
    )"""  # noqa: S608
"""Its own median for itself and each one before it in its application, and what is left of the one under way; those of other
applications are shared out among as many as are under way at a time."""

_PLACES = f"with {_LIVING} {_TIMED} select id, position, seconds from timed"  # noqa: S608
_TELL = f"""
    with {_LIVING} {_TIMED}, changed as (
        select d.id, t.position, t.seconds from timed t join deployment d using (id)
        where t.position is not null and d.queue_position is distinct from t.position
          and t.position <= case when $2::uuid is null then {FAR} else {NEAR} end
        order by d.id for update of d skip locked
    ), told as (
        update deployment d set queue_position = c.position, last_seq = d.last_seq + 1 from changed c
        where d.id = c.id and d.status = 'pending' returning d.id, d.last_seq, d.progress, c.position, c.seconds
    )
    insert into event (deployment_id, seq, at, kind, status, progress, level, message, queue_position, estimated_time)
    select id, last_seq, clock_timestamp(), 'queue', 'pending', progress, 'info',
           format('Position %s in line, about %s seconds', position, seconds), position, seconds from told
    returning deployment_id
"""  # noqa: S608
_ANY_WAIT = "select exists (select from deployment where status = 'pending' and ($1::uuid is null or application_id = $1)) as found"


@dataclass(frozen=True)
class Place:
    """`position` 1 is next, `seconds` until the end; both None once it has ended, position None once it has begun."""

    position: int | None = None
    seconds: int | None = None


async def places(ids: Sequence[UUID]) -> list[Place]:
    """Where these deployments stand."""
    found = {row["id"]: row for row in await database().execute_query_dict(_PLACES, [list(ids), None])} if ids else {}
    return [Place(found[id]["position"], found[id]["seconds"]) if id in found else Place() for id in ids]


async def told(connection: BaseDBAsyncClient, application: UUID | None = None) -> list[Any]:
    """Write an event for each waiting deployment, of one application or of all, whose place has changed. Whose followers to wake."""
    if not (await connection.execute_query_dict(_ANY_WAIT, [application]))[0]["found"]:
        return []
    return [row["deployment_id"] for row in await connection.execute_query_dict(_TELL, [None, application])]


async def is_full() -> bool:
    """Whether as many deployments wait as may."""
    limit = settings().queue_limit
    rows = await database().execute_query_dict(
        "select count(*) as waiting from (select from deployment where status = 'pending' limit $1) w", [limit]
    )
    return int(rows[0]["waiting"]) >= limit
