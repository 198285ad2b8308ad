"""Following subscriptions over npm clients: one process of Node.js that does what it is told to, line by line."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

CLIENTS: Final = Path(__file__).parent / "graphql-clients"
NAMES: Final = (
    "graphql-ws",
    "graphql-sse, distinct connections",
    "graphql-sse, single connection",
    "meros",
    "apollo, graphql-ws",
    "urql, graphql-ws",
)
PATIENCE: Final = 10.0
"""Seconds within which whatever is waited for comes."""


class Followed:
    """A subscription."""

    def __init__(self, program: "Program", id: str) -> None:
        self._program, self._id = program, id
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def hear(self, line: dict[str, Any]) -> None:
        """Take in what is told of it."""
        self._told.put_nowait(line)

    async def next(self) -> dict[str, Any]:
        """The next item. Raises TimeoutError."""
        line = await asyncio.wait_for(self._told.get(), PATIENCE)
        assert "data" in line, line
        return self._item(line)

    async def seqs(self, count: int) -> list[int]:
        """The numbers of the next items. Raises TimeoutError."""
        return [(await self.next())["seq"] for _ in range(count)]

    async def rest(self, within: float = PATIENCE) -> tuple[list[int], str]:
        """The numbers of the items that are left, and how it ends: `complete`, or the code of an error. Raises TimeoutError."""
        found: list[int] = []
        async with asyncio.timeout(within):
            while "ended" not in (line := await self._told.get()):
                found.append(self._item(line)["seq"])
        return found, line["ended"]

    @staticmethod
    def _item(line: dict[str, Any]) -> dict[str, Any]:
        (item,) = [value for name, value in line["data"].items() if name != "__typename"]
        found: dict[str, Any] = item
        return found

    async def stop(self) -> None:
        """Have the client end it."""
        await self._program.say({"stop": self._id})


class Connection:
    """What a client makes of an address and a token: a socket, or nothing but both."""

    def __init__(self, program: "Program", name: str, client: str, token: str) -> None:
        self._program, self._about = program, {"over": name, "client": client, "token": token}

    async def follow(self, query: str, **variables: Any) -> Followed:
        """Subscribe."""
        return await self._program.follow(self._about | {"query": query, "variables": variables})


class Program:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._followed: dict[str, Followed] = {}

    def connection(self, client: str, token: str) -> Connection:
        """A connection of a client's own."""
        return Connection(self, f"connection {next(self._numbers)}", client, token)

    async def follow(self, asked: dict[str, Any]) -> Followed:
        """Have it follow something."""
        id = f"operation {next(self._numbers)}"
        followed = self._followed[id] = Followed(self, id)
        await self.say({"follow": id, **asked})
        return followed

    async def stop(self) -> None:
        """Have the clients end whatever they follow."""
        for each in self._followed.values():
            await each.stop()

    async def say(self, line: dict[str, Any]) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        await self._process.stdin.drain()

    async def listen(self) -> None:
        """Hear what it tells, to its end."""
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            line = json.loads(text)
            self._followed[line["id"]].hear(line)


@asynccontextmanager
async def program(url: str) -> AsyncIterator[Program]:
    """A running one, that asks the GraphQL endpoint of a gateway."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("node", "live.mjs", f"{url}/api/graphql", cwd=CLIENTS, stdin=pipe, stdout=pipe)
    found = Program(process)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
        assert process.returncode is None, "it ended by itself"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening
