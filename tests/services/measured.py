"""What tests of metrics store, and look into."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import models
from models import metrics
from models.database import database
from models.metrics import Host, Taken
from tests.services.conftest import Api

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
MIB = 1 << 20
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def unmeasured(api: Api) -> models.Application:
    """An application, where nothing was ever measured."""
    await database().execute_script("delete from metric; delete from metric_host; delete from traffic")
    return await models.Application.get(id=(await api.application())["id"])


def host(node: str = "one", **more: Any) -> Host:
    given = {"cores": 2, "cpu": 0.5, "memory": 100 * MIB, "disk": 10 * MIB, "network_rx": 7, "network_tx": 8}
    return Host(node, **given | more)


async def sample(
    subject: UUID, at: datetime, cpu: float | None = 0.5, memory: int = 10, rx: int | None = 100, node: str = "one", **limits: Any
) -> None:
    """Store what one host has measured; memory in MiB, limits in bytes and cores."""
    await metrics.store(at, host(node), [Taken(subject, cpu, memory * MIB, rx, 1, **limits)])


async def requests(application: models.Application, at: datetime, number: int, errors: int = 0) -> None:
    row = await models.Traffic.create(application=application, seconds=30, requests=number, errors=errors, p50=1, p95=1, p99=1)
    await models.Traffic.filter(id=row.id).update(created_at=at)


def second(number: float) -> timedelta:
    return timedelta(seconds=number)


async def stored(subject: UUID, resolution: int) -> dict[int, tuple[Any, ...]]:
    """What is stored of a resolution, by the seconds since noon."""
    rows = await database().execute_query_dict(
        "select * from metric where subject_id = $1 and resolution = $2 order by at", [subject, resolution]
    )
    names = ("cpu", "memory", "network_rx", "network_tx", "requests", "errors")
    return {int((row["at"] - NOON).total_seconds()): tuple(row[name] for name in names) for row in rows}
