"""A proxy for byte streams that can be made slow, silent or absent: what stands between a client and a server whose network fails."""

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.probes import Address, Tcp

CHUNK = 1 << 16


class Proxy:
    """Listens at one address and passes everything on to another, in both directions.

    `delay` is the number of seconds that every chunk waits. `stall` stops all movement while the connections stay open, `cut` closes
    them and refuses new ones; `restore` ends both. `forget` leaves open connections dead.
    """

    def __init__(self, listen: Address, target: Address) -> None:
        self.listen, self.target = listen, target
        self.delay = 0.0
        self.accepted = 0
        """Connections so far."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin to listen; port 0 becomes a free one."""
        await self._open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close everything."""
        await self.cut()

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def stall(self) -> None:
        """Let nothing through any more; new connections are accepted and hear nothing."""
        self._flowing.clear()

    def forget(self) -> None:
        """Let nothing through the connections that there are, ever again, and everything through new ones."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def cut(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def restore(self) -> None:
        """Let everything through again."""
        self._flowing.set()
        if self._server is None:
            await self._open()

    async def _open(self) -> None:
        if isinstance(self.listen, Path):
            self._server = await asyncio.start_unix_server(self._accept, self.listen)
            return
        self._server = await asyncio.start_server(self._accept, self.listen.host, self.listen.port)
        self.listen = Tcp(self.listen.host, self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._connect(reader, writer))
        self.accepted += 1
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        flowing = self._flowing
        try:
            await flowing.wait()
            far_reader, far_writer = await self._reach()
            writers.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(flowing, reader, far_writer))
                both.create_task(self._pump(flowing, far_reader, writer))
        except* OSError:
            pass  # the target is away, or one side was faster: the other one sees its connection end
        finally:
            for each in writers:
                each.transport.abort()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, Path):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(self.target.host, self.target.port)

    async def _pump(self, flowing: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await flowing.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
