"""Claims of settlers: one at a time owns the service of an application or a database, for as long as it renews its lease."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

from tortoise.transactions import in_transaction

from models.database import AWAY, database
from workers.journal import LeaseLost
from workers.states import LEASE

RENEWAL: Final = 10.0
"""Seconds between two renewals of the lease."""

_LEASED: Final = f"settle_until = now() + interval '{LEASE} seconds'"


@dataclass(frozen=True)
class Claim:
    """One claim on the service of a row. What is done under it names its `settler` wherever it writes."""

    table: str
    id: UUID
    settler: str

    async def still_held(self) -> None:
        """Renew the claim, before something outside is touched. Raises `LeaseLost`."""
        renew = f"update {self.table} set {_LEASED} where id = $1 and settler = $2 and settle_until > now() returning id"  # noqa: S608
        if not await database().execute_query_dict(renew, [self.id, self.settler]):
            raise LeaseLost

    async def during(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work for as long as the claim is kept. Raises what the work raises, and `LeaseLost`, when it has been cancelled."""
        working, renewing = asyncio.ensure_future(work), asyncio.create_task(self._renew())
        try:
            await asyncio.wait([working, renewing], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeaseLost
            await working
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def release(self) -> None:
        """Give the claim up, unless it is another's already."""
        free = f"update {self.table} set settler = null, settle_until = null where id = $1 and settler = $2"  # noqa: S608
        await database().execute_query(free, [self.id, self.settler])

    async def _renew(self) -> None:
        """Renew the claim until it is lost, or the database has been away for as long as it lasts."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < LEASE:
            await asyncio.sleep(RENEWAL)
            with contextlib.suppress(*AWAY):
                try:
                    await self.still_held()
                except LeaseLost:
                    return
                renewed = loop.time()


@dataclass(frozen=True)
class Claims:
    """What may be claimed of a table, whose rows are `t`; both parts are SQL."""

    table: str
    free: str
    """When nobody else is at a row's service."""
    assign: str = ""
    """What changes together with the claim."""

    async def take(self, id: UUID, name: str) -> Claim | None:
        """The claim of a worker of this name; None when nothing is wished for, or somebody else is at the service."""
        claim = f"""
            update {self.table} t set settler = $2, {_LEASED} {self.assign}
            where t.id = $1 and t.wished > t.granted and (t.settle_until is null or t.settle_until < now()) and {self.free}
            returning t.id
        """  # noqa: S608 (parts of our own)
        settler = f"{name}/{token_hex(4)}"
        async with in_transaction() as connection:
            # Whoever starts to deploy or to replace data takes this row first, too: after it the claim sees what they have done.
            await connection.execute_query(f"select from {self.table} where id = $1 for update", [id])
            rows = await connection.execute_query_dict(claim, [id, settler])
        return Claim(self.table, id, settler) if rows else None
