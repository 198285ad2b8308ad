"""How many applications and deployments there are in the whole installation, and how deployments end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models.database import fetch

RATED: Final = timedelta(days=30)
"""Deployments that ended within that time say how many succeed."""

_APPLICATIONS: Final = "select status, count(*) as number from application where deleted_at is null group by status"
_DEPLOYMENTS: Final = """
    select (select coalesce(sum(deployment), 0)::int from tally) as total,
           (select count(*)::int from deployment where created_at > $1 and deleted_at is null) as last_hour,
           (select count(*)::int from deployment where status = 'success' and finished_at > $2 and deleted_at is null) as succeeded,
           (select count(*)::int from deployment where status = 'failed' and finished_at > $2 and deleted_at is null) as failed
"""


@dataclass(frozen=True, slots=True)
class Deployments:
    """Numbers of deployments."""

    total: int
    last_hour: int
    """Those that were asked for in the last hour."""
    succeeded: int
    """Of those that ended lately, as is the last one."""
    failed: int


async def applications() -> dict[str, int]:
    """How many applications there are, by status."""
    return {row["status"]: row["number"] for row in await fetch(_APPLICATIONS)}


async def deployments(now: datetime) -> Deployments:
    """How many deployments there are, and how they end; those that were cancelled did neither succeed nor fail."""
    [row] = await fetch(_DEPLOYMENTS, now - timedelta(hours=1), now - RATED)
    return Deployments(*row)
