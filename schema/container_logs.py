"""What the containers of applications and databases print."""

from datetime import datetime
from typing import Annotated

import strawberry

import models
from models import container_logs
from models.container_logs import BEGINNING, Line, Wanted
from schema.rules import Between, Length
from schema.scalars import BigInt

Tail = Annotated[int, Between(1, 1000)]
LogSearch = Annotated[str, Length(0, 200)]

VIEW = "logs { seq timestamp level message container replica } lastSeq"


@strawberry.type
class ContainerLine:
    """A line that a container has printed; `seq` counts from 1, and what it leaves out was lost or is kept no longer."""

    seq: BigInt
    timestamp: datetime
    level: models.LogLevel
    message: str
    container: str
    replica: int


@strawberry.type
class ContainerLogs:
    """The last lines that the containers of an application or a database have printed, in their order."""

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
    )


async def logs_of(
    row: models.Application | models.Database, tail: int, since: datetime | None, level: models.LogLevel | None, search: str
) -> ContainerLogs:
    """The last lines of an application or a database, of those that are at least so serious and have these words in them."""
    wanted = Wanted(since or BEGINNING, level or models.LogLevel.debug, search)
    lines = [line_of(each, row.service_name) for each in await container_logs.last(row.id, tail, wanted)]
    return ContainerLogs(logs=lines, last_seq=lines[-1].seq if lines else BigInt(0))
