"""One process of ours that a test may kill, freeze or restart: a gateway or a worker."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

from gateway.embedded.children import Child, Command, spawn


class Part:
    """A command of ours and the process that runs it now; `number` tells it from others of its kind."""

    def __init__(self, kind: str, number: int, argv: Sequence[str], environment: dict[str, str], logs: Path) -> None:
        self.kind, self.number = kind, number
        self.log = logs / f"{kind}-{number}.log"
        self.command = Command(f"{kind}-{number}", argv, env=environment, output=self.log, grace=30)
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        """The process, running or ended."""
        assert self._child is not None
        return self._child

    @property
    def pid(self) -> int:
        """The process id, which is also the group's."""
        return self.child.pid

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.code is None

    def lines(self) -> list[str]:
        """Everything it has logged, in all of its lives."""
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    async def start(self) -> None:
        """Start it, anew when it has run before."""
        assert not self.runs
        self._child = await spawn(self.command)

    async def kill(self) -> None:
        """SIGKILL to the process alone: what it has started must end by itself."""
        os.kill(self.pid, signal.SIGKILL)
        while self.child.code is None:  # `Child.wait` would kill the rest of its group
            await asyncio.sleep(0.005)

    def freeze(self) -> None:
        """SIGSTOP: it does nothing any more and keeps everything it has."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL when it does not end within its grace. The exit status."""
        return await self.child.stop()

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def files(self) -> int:
        """Open file descriptors."""
        return int(psutil.Process(self.pid).num_fds())

    def descendants(self) -> list[psutil.Process]:
        """The processes that it has started, and theirs."""
        return list(psutil.Process(self.pid).children(recursive=True))
