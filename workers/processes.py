"""Child processes: the one place of `workers` that starts them, always as an argv list and never through a shell."""

import asyncio
import ctypes
import os
import re
import resource
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[Stream, str], None]

LINE_LIMIT: Final = 8192
"""Bytes of one line that are kept; the rest of it is read and thrown away."""
CUT: Final = " … [line cut]"
TAIL_LINES: Final = 50
TERM_GRACE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL."""
PIPE_GRACE: Final = 1.0
"""Seconds that output is still awaited after the process itself has ended."""

MARK: Final = "DOKPLOY_CHILD_OF"
"""The environment variable by which whatever a worker has started names that worker."""
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and the other strings: titles, hyperlinks
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"  # what is left of them; tab stays
)
_LINE_END = re.compile(rb"\r\n|[\r\n]")


class DeadlineExceeded(Exception):
    """The process took longer than it was given and was ended."""

    def __init__(self, tail: tuple[str, ...] = ()) -> None:
        super().__init__(self.__class__.__doc__)
        self.tail = tail


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended: its return code (negative: the signal), its last lines, and the captured start of stdout."""

    returncode: int
    tail: tuple[str, ...]
    stdout: bytes = b""


def identity(pid: int) -> str | None:
    """What tells a process from all others, also of other namespaces and times: `<namespace>/<pid>/<start>`; None when there is none."""
    try:
        told, namespace = Path(f"/proc/{pid}/stat").read_text(), Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return None
    state, *rest = told.rpartition(")")[2].split()
    return None if state == "Z" else f"{namespace}/{pid}/{rest[18]}"


def clean(raw: bytes) -> str:
    """One line as text that is safe to store and show: no NUL, no lone surrogates, no terminal escape sequences."""
    text = raw.decode("utf-8", "replace")
    return text if text.isprintable() else _ESCAPES.sub("", text)


class Lines:
    """Cuts a stream of bytes into clean lines with bounded memory; a carriage return ends a line too (progress bars)."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._swallowing = False
        self._after_return = False

    def feed(self, data: bytes) -> list[str]:
        """The lines completed by these bytes."""
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        self._after_return = data.endswith(b"\r")
        lines: list[str] = []
        start = 0
        for end in _LINE_END.finditer(data):
            self._keep(data[start : end.start()])
            lines.append(self._take())
            start = end.end()
        self._keep(data[start:])
        return lines

    def flush(self) -> list[str]:
        """The unfinished last line, if there is one."""
        return [self._take()] if self._pending else []

    def _keep(self, part: bytes) -> None:
        room = LINE_LIMIT - len(self._pending)
        self._pending += part[:room]
        self._swallowing |= len(part) > room

    def _take(self) -> str:
        # A character cut in half at the limit would otherwise show as a replacement character before the marker.
        raw = self._pending.decode("utf-8", "ignore").encode() if self._swallowing else bytes(self._pending)
        line = clean(raw) + (CUT if self._swallowing else "")
        self._pending.clear()
        self._swallowing = False
        return line


class _Child(asyncio.SubprocessProtocol):
    """Drains a child; a protocol and not streams, because `Process.wait` also waits for grandchildren that hold the pipes."""

    def __init__(self, on_line: OnLine | None, capture: int, pipes: set[int]) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self.error: Exception | None = None
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.stdout = bytearray()
        self._on_line = on_line
        self._capture = capture
        self._lines: dict[int, Lines] = {1: Lines(), 2: Lines()}
        self._open = set(pipes)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        raw = data if isinstance(data, bytes) else data.encode()
        if fd == 1 and len(self.stdout) < self._capture:
            self.stdout += raw[: self._capture - len(self.stdout)]
        self._report(fd, self._lines[fd].feed(raw))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._open:
            self._open.discard(fd)
            self._report(fd, self._lines[fd].flush())
        if not self._open and not self.drained.done():
            self.drained.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def _report(self, fd: int, lines: list[str]) -> None:
        for line in lines:
            self.tail.append(line)
            if self._on_line is None or self.error is not None:
                continue
            try:
                self._on_line("stdout" if fd == 1 else "stderr", line)
            except Exception as error:  # whatever the caller raises ends the child and is raised to it by `run`
                self.error = error
                self.process_exited()


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    deadline: float,
    cwd: Path | None = None,
    on_line: OnLine | None = None,
    stdin: bytes | int | None = None,
    stdout: int | None = None,
    capture: int = 0,
    max_file_bytes: int | None = None,
) -> Finished:
    """Run a command in a process group of its own until it ends, and return how.

    `deadline` is in seconds from now. `on_line` is told every line as it comes and must not block; what it raises ends the
    process. `capture` bytes of stdout are kept unchanged. Where `stdin` or `stdout` is a file
    descriptor, that is the process's own. A file that grows over `max_file_bytes` ends the process with SIGXFSZ.
    Nothing of the group outlives this call, also when it is cancelled: SIGTERM, ten seconds, SIGKILL.
    Raises DeadlineExceeded, and OSError when the command cannot be started.
    """
    loop = asyncio.get_running_loop()
    child = _Child(on_line, capture, {1, 2} if stdout is None else {2})
    transport, _ = await loop.subprocess_exec(
        lambda: child,
        *argv,
        cwd=cwd,
        env=dict(env) | {MARK: identity(os.getpid()) or ""},
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
        start_new_session=True,
        preexec_fn=_before_exec(os.getpid(), max_file_bytes),
    )
    pid = transport.get_pid()
    try:
        if isinstance(stdin, bytes) and isinstance(pipe := transport.get_pipe_transport(0), asyncio.WriteTransport):
            pipe.write(stdin)
            pipe.write_eof()
        async with asyncio.timeout(deadline):
            await asyncio.shield(child.exited)
        if child.error is None:
            await asyncio.wait([child.drained], timeout=PIPE_GRACE)
        if child.error is None and not child.drained.done():
            _signal_group(pid, signal.SIGKILL)  # somebody it left behind still holds the pipes
        if child.error is not None:
            raise child.error
        return Finished(transport.get_returncode() or 0, tuple(child.tail), bytes(child.stdout))
    except TimeoutError as error:
        await _end(pid, transport)
        if error is child.error:
            raise
        raise DeadlineExceeded(tuple(child.tail)) from None
    except BaseException:
        await _end(pid, transport)
        raise
    finally:
        transport.close()


def _before_exec(parent: int, max_file_bytes: int | None) -> Callable[[], None]:
    def prepare() -> None:
        # The kernel ties this to the *thread* that forks: event loops here live as long as their process.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)  # the parent died in between, so its death will never be told
        if max_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    return prepare


async def _end(pid: int, transport: asyncio.SubprocessTransport) -> None:
    """SIGTERM to the group, wait until it is gone, SIGKILL; a second cancellation skips the wait."""
    try:
        if _signal_group(pid, signal.SIGTERM):
            async with asyncio.timeout(TERM_GRACE):
                while _signal_group(pid, 0) or transport.get_returncode() is None:  # noqa: ASYNC110 - a group's end has no event
                    await asyncio.sleep(0.02)
    except TimeoutError:
        pass
    finally:
        _signal_group(pid, signal.SIGKILL)
    for _ in range(100):  # SIGKILL takes effect at once, unless the process hangs in the kernel: then it is given up
        if transport.get_returncode() is not None:
            return
        await asyncio.sleep(0.02)


def _signal_group(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
