"""A child process of ours: it leads its own session, ends when we end, and is stopped within a bounded time."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import IO

from gateway.embedded.accounts import Account

LOG_LIMIT = 8 * 1024 * 1024
"""Bytes after which a log is set aside (as `<name>.1`) when its writer is started."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Command:
    """What to run and how to end it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    """The whole environment; None inherits ours."""
    cwd: Path | None = None
    """Entered before the change of user, so it may be a directory which that user could not reach by its path."""
    account: Account | None = None
    """The user to become; None stays who we are."""
    output: Path | None = None
    """File that standard output and error are appended to; None inherits ours."""
    pass_fds: Sequence[int] = ()
    stop_signal: Signals = signal.SIGTERM
    grace: float = 10.0
    """Seconds from the stop signal to SIGKILL."""
    death_signal: Signals = signal.SIGKILL
    """What the kernel sends when we die first."""


class Child:
    """A running (or ended) process."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self._process = process

    @property
    def pid(self) -> int:
        """Process id, also of its session and group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for the end; whatever is left of its process group is killed. The exit status."""
        code = await self._process.wait()
        self._kill_group()
        return code

    async def communicate(self, stdin: bytes) -> bytes:
        """Feed `stdin`, read the output if it was captured, and wait for the end. The output."""
        output, _ = await self._process.communicate(stdin or None)
        return output or b""

    async def stop(self) -> int:
        """Stop signal, `grace` seconds, SIGKILL to the group. The exit status."""
        if self.code is None:
            self._process.send_signal(self.command.stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.command.grace)
        self._kill_group()
        return await self._process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


async def spawn(command: Command, *, stdin: bool = False, capture: bool = False) -> Child:
    """Start `command`; `stdin` and `capture` make pipes for `Child.communicate`. Raises `OSError` when it cannot be executed.

    Call it on the main thread: the kernel's "parent died" means the thread that started the child.
    """
    with contextlib.ExitStack() as files:
        log = files.enter_context(_log(command.output)) if command.output and not capture else None
        output = asyncio.subprocess.PIPE if capture else log
        account = command.account
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT if output is not None else None,
            env=command.env,
            cwd=command.cwd,
            pass_fds=command.pass_fds,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
            preexec_fn=_tied_to_us(command.death_signal),
        )
    return Child(command, process)


async def run(command: Command, stdin: bytes = b"") -> int:
    """Run `command` to its end, feeding `stdin`; stopped when cancelled. The exit status. Raises `OSError`."""
    child = await spawn(command, stdin=bool(stdin))
    try:
        await child.communicate(stdin)
    finally:
        code = await child.stop()
    return code


async def capture(command: Command) -> tuple[int, str]:
    """Run `command` to its end; stopped when cancelled. Exit status and output (with the errors). Raises `OSError`."""
    child = await spawn(command, capture=True)
    try:
        output = await child.communicate(b"")
    finally:
        code = await child.stop()
    return code, output.decode(errors="replace").strip()


def last_lines(log: Path, count: int = 8) -> str:
    """The end of a log, for an error message; empty when there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    return ""


def _log(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.rename(path.with_name(path.name + ".1"))
    return path.open("ab")


def _tied_to_us(death_signal: Signals) -> Callable[[], None] | None:
    """What the child runs just before exec: a change of user clears the death signal, so it comes after that."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()

    def tie() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie
