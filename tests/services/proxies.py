"""What stands between a gateway and a server, and can go away or fall silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Proxy:
    """Passes bytes on between a unix socket of its own and that of a server, as long as it is `open`."""

    def __init__(self, path: Path, server: Path) -> None:
        self.path, self._upstream = path, server
        self._flowing = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._passing)

    async def open(self) -> None:
        """Accept connections, and pass on what they say."""
        self._flowing.set()
        await self.listen()

    async def listen(self) -> None:
        """Accept connections."""
        if self._server is None:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._accepted, self.path)

    def stall(self) -> None:
        """Accept connections, and pass nothing on any more."""
        self._flowing.clear()

    async def close(self) -> None:
        """Refuse connections, and end those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back: asyncio.StreamWriter | None = None
        try:
            answers, back = await asyncio.open_unix_connection(self._upstream)
            halves = [asyncio.create_task(each) for each in (self._pump(reader, back), self._pump(answers, writer))]
            try:
                await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for half in halves:
                    half.cancel()
                await asyncio.gather(*halves, return_exceptions=True)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            if back is not None:
                back.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(1 << 16):
            await self._flowing.wait()
            writer.write(content)
            await writer.drain()


@asynccontextmanager
async def proxy(path: Path, server: Path) -> AsyncIterator[Proxy]:
    """An open proxy."""
    found = Proxy(path, server)
    await found.open()
    yield found
    await found.close()
