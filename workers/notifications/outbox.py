"""The outbox: what is queued for channels is sent until it was taken, or given up. Whoever leads looks for what is due.

Of a channel one is under way at a time and the oldest goes first, so that nothing overtakes what has happened before it; while that one
waits for its next try, the others wait with it. None waits for long: whatever is older than `LONGEST_WAIT` is given up, tried or not, so
that a receiver which comes back hears of what is new, and so that nobody hears of what was pending in a backup that is restored. A look
begins nothing after `LOOK` seconds, and what was never tried goes first: a channel that takes its time costs the others some seconds.

What is taken up is due again after `HELD`, unless its end is written down: it is lost with no worker, and is perhaps sent twice.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import structlog

from models.database import database
from models.enums import NotificationStatus
from models.notifications import KEPT, Notification
from workers.notifications import CARRIERS
from workers.notifications.contract import Message, NotTaken
from workers.outgoing import LONGEST_PAUSE, MOST_TRIES, pause_after
from workers.runtime import Runtime

log = structlog.get_logger()

AT_ONCE, MOST, IN_A_ROW = 16, 128, 20
"""Channels that are told something at a time, those of one look, and what one of them is told in it."""
LOOK: Final = 5.0
HELD: Final = timedelta(minutes=1)
"""More than a delivery takes."""
MOST_IN_VAIN: Final = 3
"""Tries after which one is given up where the receiver says that it never will take it; else that is after `MOST_TRIES`."""
LONGEST_WAIT: Final = timedelta(hours=6)

_GIVE_UP: Final = """
    update notification n set status = 'failed', due_at = null, error = case
        when not c.enabled then 'The channel is disabled.' else coalesce(n.error, 'It was too old when it could be sent.') end
    from notification_channel c
    where c.id = n.channel_id and n.due_at is not null and (not c.enabled or n.created_at < now() - $1::interval)
"""
_DUE: Final = """
    select array_agg(id order by place) as ids from (
        select id, channel_id, due_at, tries, row_number() over (partition by channel_id order by created_at, id) as place
        from notification where due_at is not null
    ) pending
    where place <= $2 group by channel_id having bool_or(place = 1 and due_at <= now()) order by max(tries), min(due_at) limit $1
"""
_TAKE_UP: Final = """
    update notification n set tries = tries + 1, due_at = now() + $2 where n.id = $1 and n.due_at <= now()
    and exists (select from notification_channel c where c.id = n.channel_id and c.enabled) returning id, channel_id, tries
"""


class _Taken(NamedTuple):
    """What is known of one that was taken up, whether or not its row can be read."""

    id: UUID
    channel_id: UUID
    tries: int


async def send(runtime: Runtime) -> None:
    """Tell the channels what is due, some of them at a time."""
    await database().execute_query(_GIVE_UP, [LONGEST_WAIT])
    rows = await database().execute_query_dict(_DUE, [MOST, IN_A_ROW])
    turns, clock = asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop().time
    end = clock() + LOOK

    async def tell(ids: list[UUID]) -> None:
        async with turns:
            for id in ids:
                if clock() > end or not await _dutifully(id):
                    return

    async with asyncio.TaskGroup() as group:
        for row in rows:
            group.create_task(tell(row["ids"]))


async def forget() -> None:
    """Delete what has been listed for long enough."""
    await Notification.filter(created_at__lt=datetime.now(UTC) - KEPT).delete()


async def _dutifully(id: UUID) -> bool:
    """Try to send one; whatever comes of it keeps no other channel from being told. Whether the next one of its channel may follow."""
    try:
        return await _sent(id)
    except Exception as error:
        log.warning("notification.interrupted", notification=str(id), error=repr(error))
        return False


async def _sent(id: UUID) -> bool:
    if not (rows := await database().execute_query_dict(_TAKE_UP, [id, HELD])):
        return False
    taken = _Taken(**rows[0])
    try:
        row = await Notification.get_or_none(id=id).select_related("channel")
        if row is None:
            return False
        missed = await CARRIERS[row.channel.type].deliver(Message(row.id, row.event, row.created_at, row.data), row.channel.target)
    except NotTaken as error:
        return await _later(taken, error)
    except Exception as error:
        return await _later(taken, NotTaken(f"It could not be sent ({type(error).__name__})."))
    await _note(id, status=NotificationStatus.sent, sent_at=datetime.now(UTC), due_at=None, error=missed)
    return True


async def _later(taken: _Taken, error: NotTaken) -> bool:
    """Try one again after a while that doubles, or give it up; either way its channel is told no more in this look."""
    log.warning("notification.not_taken", notification=str(taken.id), channel=str(taken.channel_id), tries=taken.tries, error=str(error))
    pause = pause_after(taken.tries)
    pause = max(pause, min(error.after or pause, LONGEST_PAUSE))
    over = taken.tries >= (MOST_IN_VAIN if error.lasting else MOST_TRIES)
    given_up: dict[str, Any] = {"status": NotificationStatus.failed, "due_at": None} if over else {"due_at": datetime.now(UTC) + pause}
    await _note(taken.id, error=str(error), **given_up)
    return False


async def _note(id: UUID, **columns: Any) -> None:
    await Notification.filter(id=id).update(**columns)
