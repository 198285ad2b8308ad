"""The databases that are to be measured, and what was measured of them, in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from models import Database
from models.database import database
from workers.databases.contract import MIB, Statistics

log = structlog.get_logger()

ALERT, CALM = 90, 85
"""Percent of `storage_size`: from the first on there is an alert, and below the second there is none any more."""

_STORE = """
    with measured as (
        select * from unnest($1::uuid[], $2::bigint[], $3::int[], $4::bigint[], $5::float8[], $6::int[], $7::int[])
            as each (id, size, connections, queries, cache_hit_rate, memory, storage)
    )
    update database as d set
        size = coalesce(m.size, d.size), connections = m.connections, queries = m.queries, cache_hit_rate = m.cache_hit_rate,
        current_memory = m.memory, current_storage = coalesce(m.storage, d.current_storage), sampled_at = now(),
        storage_alert = case when m.storage::bigint * 100 >= d.storage_size::bigint * $8 then true
                             when m.storage::bigint * 100 < d.storage_size::bigint * $9 then false
                             else d.storage_alert end
    from measured m join database before on before.id = m.id
    where d.id = m.id and d.deleted_at is null
    returning d.id, d.project_id, d.name, d.current_storage, d.storage_size, d.storage_alert, before.storage_alert as was
"""


@dataclass(frozen=True)
class Sample:
    """What was measured of a database; None is what could not be asked just now."""

    database: UUID
    statistics: Statistics | None = None
    memory: int | None = None
    """Bytes."""
    storage: int | None = None
    """Bytes."""


async def wanted() -> Sequence[Database]:
    """The databases that shall run, wherever they do."""
    return await Database.filter(deleted_at=None, stopped=False)


async def store(samples: Sequence[Sample]) -> None:
    """Store a round in one statement, and say of which databases the alert has changed.

    The size and the storage of before stay where the present ones are not known; a connection count of before would be a lie.
    """
    statistics = [each.statistics or Statistics(None, None, None, None) for each in samples]
    columns = (
        [each.database for each in samples],
        [each.size for each in statistics],
        [each.connections for each in statistics],
        [each.queries for each in statistics],
        [each.cache_hit_rate for each in statistics],
        [_mebibytes(each.memory) for each in samples],
        [_mebibytes(each.storage) for each in samples],
    )
    for row in await database().execute_query_dict(_STORE, [*columns, ALERT, CALM]):
        if row["storage_alert"] != row["was"]:
            log.warning(
                "monitor.storage_alert",
                database=str(row["id"]),
                project=str(row["project_id"]),
                name=row["name"],
                alert=row["storage_alert"],
                storage_mib=row["current_storage"],
                storage_size_mib=row["storage_size"],
            )


def _mebibytes(size: int | None) -> int | None:
    return None if size is None else size // MIB
