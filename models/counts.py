"""Counts of the whole installation: what has happened since it was made, whatever was deleted since, and how much there is now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.database import database
from models.lifecycle import IS_LIVING

MOST_ROWS: Final = 100
"""Rows of what has happened beyond which they are added up."""

_ALL: Final = f"""
    select name, label, sum(number)::bigint as number, sum(milliseconds)::bigint as milliseconds from counted group by name, label
    union all select 'application', status, count(*), 0 from application where deleted_at is null group by status
    union all select 'unfinished', status, count(*), 0 from deployment where {IS_LIVING} group by status
    union all select 'waiting', 'backups', count(*), 0 from database_backup where status = 'pending'
    union all select 'waiting', 'restores', count(*), 0 from database_restore where status = 'pending'
    union all select 'waiting', 'notifications', count(*), 0 from notification where due_at is not null
    union all select 'alert', severity, count(*), 0 from alert where status = 'raised' and deleted_at is null group by severity
"""  # noqa: S608 (ours)
_HAPPENED: Final = """
    insert into counted (name, label, number)
    select name, '', number from unnest($1::text[], $2::bigint[]) as each (name, number) where number > 0
"""
_ADD_UP: Final = """
    with parts as (delete from counted where (select count(*) from counted) > $1 returning *)
    insert into counted select name, label, sum(number), sum(milliseconds) from parts group by name, label
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are or were, and how long they took together, in seconds, where that is counted."""

    number: int = 0
    seconds: float = 0.0


class Counts:
    """The counts of one moment."""

    def __init__(self, found: dict[tuple[str, str], Count]) -> None:
        self._found = found

    def of(self, name: str, label: str = "") -> Count:
        """A count by its name and label.

        Of what has happened: `deployment` (that ended) by status, `stage` (that ended) by name, `take_over` by what was taken over,
        `lost_lines`, `edge_requests` and those of them that are `edge_errors`. Of what there is now: `application` by status, `unfinished`
        (deployments) by status, `waiting` by queue, `alert` (that is raised) by severity.
        """
        return self._found.get((name, label), Count())


async def counts() -> Counts:
    """What is counted now, in one statement."""
    rows = await database().execute_query_dict(_ALL)
    return Counts({(row["name"], row["label"]): Count(row["number"], row["milliseconds"] / 1000) for row in rows})


async def happened(numbers: Mapping[str, int]) -> None:
    """Count by name what has happened so many times, in the transaction in which it is stored."""
    await database().execute_query(_HAPPENED, [list(numbers), list(numbers.values())])


async def add_up() -> None:
    """Make one row of all that count the same, once there are many. Whoever counts or reads meanwhile does not wait."""
    await database().execute_query(_ADD_UP, [MOST_ROWS])
