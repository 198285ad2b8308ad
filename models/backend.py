"""Tortoise's backend for Postgres, which does not wait for a database that is away, nor lose connections to one that was."""

import os
from asyncio import Future
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, ClassVar, Protocol

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext, TransactionContextPooled
from tortoise.exceptions import TransactionManagementError

from models.line import Line
from models.patience import Patience

ANSWER_SECONDS = 2.0
"""For the answer to a statement in a process that somebody waits for, from a server that may not even be there any more."""
STATEMENT_SECONDS = 1.8
"""After which the server itself gives such a statement up; the connection can still be used then."""
SILENCE_SECONDS = 10.0
"""For the answer in any other process: a lease outlasts it, although the connection it is renewed over has died unnoticed."""
IDLE_SECONDS = 5.0
"""After which the server ends a transaction whose client says nothing any more, and frees what it locked.

A lock is not waited for any longer: where one frozen client waits several times for the same row, they end together and not in turn.
"""


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


class Lender(Protocol):
    """Where a connection comes from."""

    async def expire_connections(self) -> None:
        """Lend none of those again that there are now."""


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that ends with the statement that is given up on it; to have it cancelled would take as long as the statement did.

    Returning to the pool costs no round trip: no code here leaves session state (SET, LISTEN, session locks) on a pooled connection.
    Every way to have a statement executed raises `ConnectionError` when its answer does not come in time.
    """

    patience: ClassVar[float | None] = None
    """Seconds for the answer to a statement."""
    given_up = False
    """Whether it is about to be ended."""
    lender: Lender | None = None

    def get_reset_query(self) -> str:
        """Nothing."""
        return ""

    async def execute(self, *arguments: Any, **options: Any) -> str:
        """Execute statements without an answer but their status."""
        return str(await self._heard(super().execute(*arguments, **options)))

    async def _execute(self, *arguments: Any, **options: Any) -> Any:
        return await self._heard(super()._execute(*arguments, **options))

    async def _executemany(self, *arguments: Any, **options: Any) -> Any:
        return await self._heard(super()._executemany(*arguments, **options))

    async def _heard(self, answer: Awaitable[Any]) -> Any:
        """An answer. When none comes, the lender's other connections may be as dead."""
        try:
            async with Patience(self.patience):
                return await answer
        except TimeoutError as error:
            if self.lender is not None:
                await self.lender.expire_connections()
            raise ConnectionError("the database does not answer") from error

    def _cancel_current_command(self, waiter: "Future[None]", cancel_waiter: "Future[None] | None" = None) -> None:
        self.given_up = True
        self._loop.call_soon(self.terminate)


class PatientConnection(Connection):
    """The connection of a process for which nobody waits."""

    patience = SILENCE_SECONDS


class ImpatientConnection(Connection):
    """The connection of a process that somebody waits for."""

    patience = ANSWER_SECONDS


_IDLE = {
    "application_name": os.environ.get("PGAPPNAME", "dokploy"),
    "idle_in_transaction_session_timeout": _milliseconds(IDLE_SECONDS),
}
_LIMITED = _IDLE | {"lock_timeout": _milliseconds(IDLE_SECONDS), "transaction_timeout": _milliseconds(SILENCE_SECONDS)}
"""The last one also ends a transaction whose client fell silent in the middle of a statement: to the server that is not idle."""
UNLIMITED: dict[str, Any] = {"connection_class": Connection, "server_settings": _IDLE}
"""What a connection is made with for work that may take and wait for as long as it has to."""
PATIENT: dict[str, Any] = {"connection_class": PatientConnection, "timeout": SILENCE_SECONDS, "server_settings": _LIMITED}
"""What it is made with otherwise."""
IMPATIENT: dict[str, Any] = {
    "connection_class": ImpatientConnection,
    "timeout": SILENCE_SECONDS,
    "server_settings": _LIMITED | {"statement_timeout": _milliseconds(STATEMENT_SECONDS)},
}
"""What it is made with in a process that somebody waits for."""


class Pool(asyncpg.Pool):  # type: ignore[misc]
    """Connections, for which one waits in line as long as it moves, but not for a database that is away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_queries=50_000, max_inactive_connection_lifetime=300.0, record_class=asyncpg.Record, **options)
        self._line = Line()

    async def acquire(self) -> Any:
        """A connection. Raises `ConnectionError` when there is none to be had, and what Postgres says."""
        lent = await self._line.wait(super().acquire)
        lent._con.lender = self  # noqa: SLF001 (the loan itself takes no attributes)
        return lent

    async def expire_connections(self) -> None:
        """Lend none of those again that there are now, and end at once those that nobody has: closing them would take an answer, too."""
        await super().expire_connections()
        for holder in self._holders:
            if holder._in_use is None:  # noqa: SLF001 (what there is of it is private)
                holder.terminate()

    async def release(self, connection: Any) -> None:
        """Take a connection back."""
        if _is_usable(connection):
            self._line.move()
        else:
            with suppress(asyncpg.InterfaceError):  # it has been ended already
                connection.terminate()
        await super().release(connection)


def _is_usable(connection: Any) -> bool:
    try:
        return not (connection.is_closed() or connection.given_up)
    except asyncpg.InterfaceError:  # a lent connection that has been ended says nothing else
        return False


class Work(TransactionWrapper):
    """The statements of a transaction, or of a part of one."""

    async def rollback(self) -> None:
        """Undo them, unless they went with their connection: then what is raised stays what ended it."""
        if _is_usable(self._connection):
            await super().rollback()
        self._finalized = True

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Work(self))


class Transaction(TransactionContextPooled):
    """A transaction that gives its connection back also when it cannot begin; Tortoise would have one connection less from then on."""

    async def __aenter__(self) -> TransactionalDBClient:
        """Begin."""
        try:
            return await super().__aenter__()
        except BaseException:
            if hasattr(self, "token"):  # it has a connection
                await super().__aexit__(TransactionManagementError, None, None)  # for which alone it does not roll back
            raise


class Client(AsyncpgDBClient):
    """The ORM's way to the database."""

    async def create_pool(self, **options: Any) -> asyncpg.Pool:
        """The pool, without a connection yet."""
        return await Pool(**options)

    def _in_transaction(self) -> TransactionContext:
        return Transaction(Work(self), self._pool_init_lock)


client_class = Client
