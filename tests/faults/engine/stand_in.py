"""The stand-in as a whole: its sockets, its docker command line, and what it remembers of every call."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.engine import client
from tests.faults.engine.api import Api
from tests.faults.engine.call import Call, read
from tests.faults.engine.client import EXIT, STDERR, STDOUT
from tests.faults.engine.commands import VERSION, Commands
from tests.faults.engine.rules import NO_DAEMON, Rule, Rules
from tests.faults.engine.stock import Stock
from tests.faults.engine.swarm import Swarm
from tests.faults.engine.tasks import Pace

BROKEN = "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF"
"""What a call that is under way says when the Engine goes away."""


class StandIn:
    """An Engine and its client in a directory whose path is short: `environment` makes a worker use them."""

    def __init__(self, directory: Path, pace: Pace | None = None) -> None:
        self.directory = directory
        self.stock = Stock()
        self.swarm = Swarm(self.stock, pace or Pace())
        self.commands = Commands(self.stock, self.swarm)
        self.rules = Rules()
        self.calls: list[Call] = []
        self.api = Api(self.stock, self.swarm, directory / "docker.sock")
        self.away = False
        self._server: asyncio.Server | None = None
        self._under_way: dict[Call, asyncio.Task[int]] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Write the script and listen."""
        script = self.directory / "docker"
        source = Path(client.__file__).read_text()
        script.write_text(f"#!{sys.executable} -IS\n{source}")
        script.chmod(0o755)
        self._server = await asyncio.start_unix_server(self._accept, self.directory / "cli.sock")
        await self.api.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close everything."""
        self.rules.clear()
        if self._server is not None:
            self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self.swarm.close()
        await self.api.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a worker use it."""
        return {"DOCKER_HOST": f"unix://{self.api.socket}", "DOKPLOY_DOCKER": str(self.directory / "docker")}

    @property
    def unknown(self) -> list[tuple[str, ...]]:
        """Calls that the stand-in does not understand, and so cannot stand in for."""
        return [call.argv for call in self.calls if not call.understood]

    def of(self, *kinds: str, deployment: str = "", service: str = "") -> list[Call]:
        """The calls of some kinds that are about a deployment or a service, in the order in which they began."""
        found = [call for call in self.calls if not kinds or call.kind in kinds]
        return [call for call in found if deployment in ("", call.deployment) and service in ("", call.service)]

    def forget(self) -> None:
        """Lose everything that was made, and every call."""
        for service in list(self.swarm.services.values()):
            self.swarm.remove(service)
        for made in (self.stock.images, self.stock.networks, self.stock.volumes, self.stock.containers):
            made.clear()
        self.calls.clear()

    async def leave(self) -> None:
        """Go away, as when dockerd stops: the API refuses, calls under way break off, new ones do not reach it. Tasks go on."""
        self.away = True
        await self.api.stop()
        for work in self._under_way.values():
            work.cancel()

    async def come_back(self) -> None:
        """Answer again."""
        self.away = False
        await self.api.start()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = int.from_bytes(await reader.readexactly(4), "big")
            call = _told(await reader.readexactly(length))
            self.calls.append(call)
            await self._answer(call, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # killed before it could say anything, or while it was told something
        finally:
            writer.transport.abort()

    async def _answer(self, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(channel: int, content: bytes, times: int) -> None:
            await _send(writer, channel, times, content)

        rule = None if self._always(call) or self.away else self.rules.of(call)
        work = self._under_way[call] = asyncio.create_task(self._act(call, rule, say))
        gone = asyncio.create_task(reader.read())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._killed(call, rule, work)
                return
            if work.cancelled():
                await say(STDERR, f"{BROKEN}\n".encode(), 1)
            code = 1 if work.cancelled() else work.result()
            await _send(writer, EXIT, code, b"")
            await gone  # it has printed everything
            call.code, call.ended = code, time.time()
        finally:
            if call.ended is None:  # killed just when it was told something
                call.killed, call.ended = True, time.time()
            del self._under_way[call]
            gone.cancel()
            work.cancel()

    async def _killed(self, call: Call, rule: Rule | None, work: "asyncio.Task[int]") -> None:
        work.cancel()
        call.killed, call.ended = True, time.time()
        if rule is not None and rule.nasty:
            await self.commands.carry_out(call, _silent)

    async def _act(self, call: Call, rule: Rule | None, say: Callable[[int, bytes, int], Awaitable[None]]) -> int:
        """What becomes of a call. Its exit status."""
        if self._always(call):
            return await self._version(call, say)
        if self.away:
            await say(STDERR, f"{NO_DAEMON}\n".encode(), 1)
            return 1
        if rule is not None:
            match rule.act:
                case "fail":
                    await say(STDERR, f"{rule.stderr}\n".encode(), 1)
                    return rule.code
                case "lie":
                    return 0
                case "hang":
                    await asyncio.Event().wait()
                case "hold":
                    await rule.released.wait()
        return await self.commands.carry_out(call, say)

    def _always(self, call: Call) -> bool:
        """Whether a call needs no Engine."""
        return call.kind == "buildx version" or "--version" in call.options

    async def _version(self, call: Call, say: Callable[[int, bytes, int], Awaitable[None]]) -> int:
        if call.kind:
            await say(STDERR, b"docker: 'buildx' is not a docker command.\n", 1)
            return 1
        await say(STDOUT, f"{VERSION}\n".encode(), 1)
        return 0


def _told(frame: bytes) -> Call:
    pid, count, *words = frame.decode("utf-8", "surrogateescape").split("\0")
    environment = dict(each.partition("=")[::2] for each in words[int(count) :])
    return read(words[: int(count)], environment, int(pid))


async def _send(writer: asyncio.StreamWriter, kind: int, number: int, content: bytes) -> None:
    writer.write(bytes([kind]) + number.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content)
    await writer.drain()


async def _silent(channel: int, content: bytes, times: int) -> None:
    """Say it to nobody."""
