"""Who else is connected to the database."""

from typing import Any

from models.plane.errors import InUse

_OTHERS = """
    select coalesce(nullif(application_name, ''), 'a program without a name') as program, coalesce(usename::text, '?') as role, count(*)
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null
    group by 1, 2 order by 1, 2
"""
"""Of other people's sessions that is all that an ordinary role is told. Those of the server itself have no `usesysid`."""


async def refuse(connection: Any) -> None:
    """Raise `InUse`, which says who it is, when anybody else is connected to the database of this connection."""
    if found := await connection.fetch(_OTHERS):
        named = ", ".join(f"{program} as {role} ({count})" for program, role, count in found)
        raise InUse(f"The database is in use by {named}: stop them first, then restore.")
