"""What the containers of applications and databases print."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import strawberry

import models
from models import container_logs
from models.container_logs import BEGINNING, Line, Wanted
from models.feed import Feeds, Part
from schema.context import Context
from schema.following import followed
from schema.rules import Between, Length
from schema.scalars import BigInt

MOST: Final = 1000
"""Lines of an answer."""
Tail = Annotated[int, Between(0, MOST)]
LogSearch = Annotated[str, Length(0, 200)]
AfterLine = Annotated[BigInt, Between(0, (1 << 53) - 1)]

LINE: Final = "seq timestamp level message container replica lost"
VIEW: Final = f"logs {{ {LINE} }} lastSeq"

START: Final = BigInt(0)
"""The number before the first line."""
MOST_BEHIND: Final = 5000
"""Lines that whoever follows may be behind by; of more the oldest are left out, and how many that is is said."""


@strawberry.type
class ContainerLine:
    """A line that a container has printed. `seq` counts from 1; `lost` is how many lines are missing right before it."""

    seq: BigInt
    timestamp: datetime
    level: models.LogLevel
    message: str
    container: str
    replica: int
    lost: BigInt


@strawberry.type
class ContainerLogs:
    """Lines that the containers of an application or a database have printed; `lastSeq` is where the next poll goes on with `afterSeq`."""

    logs: list[ContainerLine]
    last_seq: BigInt


def line_of(line: Line, service_name: str) -> ContainerLine:
    """A line as the API shows it: a container is named after its service and its number."""
    return ContainerLine(
        seq=BigInt(line.seq),
        timestamp=line.at,
        level=line.level,
        message=line.message,
        container=f"{service_name}-{line.replica}",
        replica=line.replica,
        lost=BigInt(line.lost),
    )


def wanted(since: datetime | None, level: models.LogLevel | None, search: str) -> Wanted:
    """Which lines are asked for: at least so serious, with these words in them."""
    return Wanted(since or BEGINNING, level or models.LogLevel.debug, search)


async def logs_of(row: models.Application | models.Database, tail: int, which: Wanted, after: int) -> ContainerLogs:
    """The next lines of an application or a database after a number, or else the last ones."""
    if after:
        found, last = await container_logs.next_after(row.id, after, tail, which)
    else:
        found = await container_logs.last(row.id, tail, which)
        last = found[-1].seq if found else START
    return ContainerLogs(logs=[line_of(each, row.service_name) for each in found], last_seq=BigInt(last))


async def _after(subject: UUID, seq: int) -> Part[ContainerLine]:
    found = await container_logs.after(subject, seq)
    name = await container_logs.service_name(subject) if found.items else ""
    return Part([line_of(each, name) for each in found.items])


FEEDS: Final = Feeds(_after, MOST_BEHIND)
"""Whoever follows what containers print, in this process."""


async def follow_logs(
    ctx: Context, type_: type, row: models.Application | models.Database, tail: int, which: Wanted, after: int
) -> AsyncGenerator[ContainerLine]:
    """The lines after a number, or else the last ones and those that come."""
    if not after:
        after = await container_logs.last_seq(row.id)
        for line in await container_logs.last(row.id, tail, which):
            if line.seq <= after:
                yield line_of(line, row.service_name)
    seq, missing = after, 0
    async with aclosing(followed(ctx, type_, row, FEEDS, after)) as found:
        async for each in found:
            missing += max(each.lost, each.seq - seq - 1)
            seq = each.seq
            if which.takes(each.timestamp, each.level, each.message):
                yield each if missing == each.lost else replace(each, lost=BigInt(missing))
                missing = 0
