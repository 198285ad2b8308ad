"""Following a row: what happens to it, for as long as whoever follows may see it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar
from uuid import UUID

from tortoise.models import Model

from models.feed import Feeds, Follower, Numbered
from models.progress import T, follow
from models.statuses import Status, newest, statuses
from models.watcher import Watcher
from schema.context import Context
from schema.errors import ApiError
from schema.fields import entity_of
from schema.standing import Held, standings

Item = TypeVar("Item", bound=Numbered)


def followed(ctx: Context, type_: type, row: Model, feeds: Feeds[Item], after: int) -> AsyncGenerator[Item]:
    """The items of a row after a number as they come. Raises why whoever follows may no longer see the row, and what reading raises."""
    return _followed(ctx, Held.of(entity_of(type_), row), feeds, after)


async def _followed(ctx: Context, held: Held, feeds: Feeds[Item], after: int) -> AsyncGenerator[Item]:
    follower: Follower[Item] = Follower()
    with standings.leave(ctx, held, follower.end):
        async with aclosing(feeds.follow(held.id, after, follower)) as items:
            async for item in items:
                yield item


async def progressing(ctx: Context, type_: type, task: T) -> AsyncGenerator[T]:
    """A backup or a restore as it is, then as it becomes, up to its end. Raises why whoever follows may no longer see it."""
    lost: list[ApiError] = []

    def check() -> None:
        if lost:
            raise lost[0]

    with standings.leave(ctx, Held.of(entity_of(type_), task), lost.append):
        async with aclosing(follow(type(task), task.pk, check)) as states:
            async for state in states:
                yield state


async def watched(ctx: Context, type_: type, application: Model) -> AsyncGenerator[Status]:
    """How the newest deployment of an application stands, then what becomes of each. Raises why whoever watches may no longer see it."""
    watcher: Watcher[Status] = Watcher()
    with statuses.told_to(watcher), standings.leave(ctx, Held.of(entity_of(type_), application), watcher.end):
        told: dict[UUID, int] = {}
        await statuses.begun()
        found = await newest(application.pk)
        while True:
            for each in found:
                if each.application_id == application.pk and each.seq > told.get(each.deployment_id, 0):
                    told[each.deployment_id] = each.seq
                    yield each
            found = await watcher.fetch()
