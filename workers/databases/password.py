"""Another password for a database: the server learns it first, then everybody else."""

from dataclasses import replace

from models import Database
from workers.databases.containers import DatabaseFailed, running
from workers.databases.credentials import credentials_of
from workers.databases.desired import engine_of
from workers.databases.service import StillHeld
from workers.runtime import Runtime


async def changed(runtime: Runtime, row: Database, still_held: StillHeld) -> Database:
    """The row with the password that was wished for, once the server has it; unchanged when none was.

    An attempt that ended in the middle may have told the server already: what the old password does not open, the new one does.
    Raises `DatabaseFailed`, also when neither does.
    """
    wanted = row.credentials.get("next_password")
    if wanted is None or row.stopped:
        return row
    engine, old = engine_of(row), credentials_of(row)
    if engine.rotate is not None:
        await still_held()
        container = await running(runtime, row, old)
        try:
            await container.tell(engine.rotate(old, wanted))
        except DatabaseFailed as error:
            if error.code != "DATABASE_AUTH_FAILED":
                raise
            await container.tell(engine.rotate(replace(old, password=wanted), wanted))
    await still_held()
    row.credentials = {name: value for name, value in row.credentials.items() if name != "next_password"} | {"password": wanted}
    row.generation += 1
    await Database.filter(id=row.id).update(credentials=row.credentials, generation=row.generation)
    return row
