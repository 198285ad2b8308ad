"""Ringing for databases: their wishes, their backups and their restores."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from models import DatabaseBackup, DatabaseRestore, background
from models.database import after_commit, database
from workers import rings
from workers.databases.tasks import READY, TABLES

ACTORS: Final[Mapping[str, str]] = {DatabaseBackup.Meta.table: rings.BACK_UP, DatabaseRestore.Meta.table: rings.RESTORE}
WAITING: Final = " union all ".join(
    f"select t.id, '{table}' as kind, t.database_id from {table} t where t.status = 'pending' and {READY}"  # noqa: S608 (names of ours)
    for table in TABLES
)
"""The tasks whose turn it is."""


async def ring_next(id: UUID) -> None:
    """Ring whatever a database waits for: its wishes, and the task whose turn it is."""
    if await database().execute_query_dict("select from database where id = $1 and wished > granted", [id]):
        await rings.ring((rings.SETTLE_DATABASE,), id)
        return
    for row in await database().execute_query_dict(f"select id, kind from ({WAITING}) w where database_id = $1", [id]):  # noqa: S608
        await rings.ring((ACTORS[row["kind"]],), row["id"])


def next_soon(id: UUID) -> None:
    """Ring what comes next of a database without waiting for it, after the commit of whatever is under way."""
    after_commit(lambda: background.start(ring_next(id)))
