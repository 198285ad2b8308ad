"""Where a deployment stands in line, and how long it will take (DECISIONS 21)."""

from dataclasses import dataclass
from uuid import UUID

from models import DeploymentStatus
from models.database import database
from models.lifecycle import IS_LIVING, LIVING

DEFAULT_SECONDS = 60


@dataclass(frozen=True)
class Place:
    """`position` 1 is next, `seconds` until the end; both None once it has ended, position None once it has begun."""

    position: int | None
    seconds: int | None


async def place(id: UUID, application_id: UUID, status: DeploymentStatus) -> Place:
    """The place of a deployment: the median of the last ten successes, once for each deployment ahead and once for itself."""
    if status not in LIVING:
        return Place(None, None)
    rows = await database().execute_query_dict(
        f"""
        select (select count(*) from deployment o where o.application_id = $2 and o.id < $1 and o.{IS_LIVING}) as ahead,
               (select percentile_cont(0.5) within group (order by duration) from (
                    select duration from deployment where application_id = $2 and status = 'success'
                    order by id desc limit 10) own) as own,
               (select percentile_cont(0.5) within group (order by duration) from (
                    select duration from deployment where status = 'success' order by id desc limit 100) everybody) as others
        """,  # noqa: S608 (a constant of our own)
        [id, application_id],
    )
    row = rows[0]
    median = row["own"] if row["own"] is not None else row["others"] if row["others"] is not None else DEFAULT_SECONDS
    waiting = status is DeploymentStatus.pending
    return Place(int(row["ahead"]) + 1 if waiting else None, round(median * (row["ahead"] + 1)))
