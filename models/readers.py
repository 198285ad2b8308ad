"""Connections for reads, handed from one request to the next without a round trip or a task.

A read of this program takes less time than a general pool needs to lend a connection and take it back (`bench/reads`).
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Any

import asyncpg

from models.backend import Connection
from models.line import Line

DEFAULTS: dict[str, Any] = {"timeout": 10.0, "statement_cache_size": 1024, "connection_class": Connection}
"""Of a new connection, unless the credentials say otherwise."""
CLOSE_SECONDS = 2.0


async def connect(*arguments: Any, **options: Any) -> asyncpg.Connection:
    """A new connection. Raises `ConnectionError`, whatever the way there says, or what Postgres says, while it is away."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except OSError as error:
        raise ConnectionError(str(error)) from error


class Readers:
    """At most `size` connections, opened when they are first needed; whoever comes when all are lent waits for one.

    The one that came back last is lent first. A connection on which something was raised is not lent again: it may be in the
    middle of an answer.
    """

    def __init__(self, credentials: dict[str, Any], size: int) -> None:
        self._credentials = credentials
        self._idle: asyncio.LifoQueue[asyncpg.Connection | None] = asyncio.LifoQueue()
        self._size = size
        self._line = Line()
        for _ in range(size):
            self._idle.put_nowait(None)

    def lend(self) -> "Loan":
        """A connection for as long as `async with` lasts, for reads that are not part of a transaction.

        Entering raises `ConnectionError`, or what Postgres says, while the database is away.
        """
        return Loan(self)

    async def take(self) -> asyncpg.Connection:
        """The next connection, opened if it has to be."""
        if not self._idle.empty():
            connection = self._idle.get_nowait()
            if connection is not None and not connection.is_closed():
                return connection
            self._idle.put_nowait(None)
        return await self._line.wait(self._next)

    async def _next(self) -> asyncpg.Connection:
        connection = await self._idle.get()
        if connection is not None and not connection.is_closed():
            return connection
        try:
            connection = await connect(**(DEFAULTS | self._credentials))
        except BaseException:
            self._idle.put_nowait(None)
            raise
        connection.lender = self
        return connection

    def give(self, connection: asyncpg.Connection, *, usable: bool) -> None:
        """Take a connection back."""
        if usable:
            self._line.move()
        else:
            connection.terminate()
        self._idle.put_nowait(connection if usable else None)

    async def expire_connections(self) -> None:
        """End those that nobody has; in their places new ones are opened when they are needed."""
        for connection in [self._idle.get_nowait() for _ in range(self._idle.qsize())]:
            if connection is not None:
                connection.terminate()
            self._idle.put_nowait(None)

    async def close(self) -> None:
        """Wait a while until every connection has come back, and close them; what is still lent ends with the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for _ in range(self._size):
                    connection = await self._idle.get()
                    if connection is not None:
                        await connection.close()


class Loan:
    """A connection that is lent."""

    __slots__ = ("_connection", "_readers")

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def __aenter__(self) -> asyncpg.Connection:
        """Borrow it."""
        self._connection = connection = await self._readers.take()
        return connection

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Bring it back."""
        self._readers.give(self._connection, usable=kind is None)
