"""Children are restarted, stopped within a bounded time, and do not outlive us."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.embedded.children import Command, capture, last_lines, run, spawn
from gateway.embedded.supervisor import Backoff, NotReady, Supervisor

STUBBORN = ("sh", "-c", "trap '' TERM; sleep 60 & echo $!; while :; do sleep 0.05; done")
"""Ignores the stop signal, has a child of its own, and prints that one's process id."""


async def alive(pid: int) -> bool:
    await asyncio.sleep(0.05)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_backoff_doubles_and_starts_afresh() -> None:
    backoff = Backoff()
    assert [backoff.after(1) for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert [backoff.after(31), backoff.after(0)] == [0.5, 1]


async def test_run_and_capture(tmp_path: Path) -> None:
    assert await run(Command("cat", ["cat"], output=tmp_path / "log"), b"fed") == 0
    assert last_lines(tmp_path / "log") == "fed"
    assert await capture(Command("sh", ["sh", "-c", "echo out; echo err >&2; exit 3"])) == (3, "out\nerr")


async def printed_pid(log: Path) -> int:
    while not last_lines(log):
        await asyncio.sleep(0.02)
    return int(last_lines(log))


async def test_stop_is_bounded_and_takes_the_group(tmp_path: Path) -> None:
    child = await spawn(Command("stubborn", STUBBORN, output=tmp_path / "log", grace=0.2))
    grandchild = await printed_pid(tmp_path / "log")
    began = time.monotonic()
    assert await child.stop() == -signal.SIGKILL
    assert time.monotonic() - began < 2
    assert not await alive(grandchild)


async def test_death_takes_the_group(tmp_path: Path) -> None:
    child = await spawn(Command("stubborn", STUBBORN, output=tmp_path / "log"))
    grandchild = await printed_pid(tmp_path / "log")
    os.kill(child.pid, signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    assert not await alive(grandchild)


async def test_cancelled_run_leaves_nothing(tmp_path: Path) -> None:
    task = asyncio.create_task(run(Command("stubborn", STUBBORN, output=tmp_path / "log", grace=0.2)))
    grandchild = await printed_pid(tmp_path / "log")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await alive(grandchild)


async def test_the_dead_are_replaced() -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    sleeper = await supervisor.start(Command("sleeper", ["sleep", "60"]))
    first = sleeper.pid
    assert first
    os.kill(first, signal.SIGKILL)
    while sleeper.pid in {first, None}:
        await asyncio.sleep(0.05)
    second = sleeper.pid
    await supervisor.stop()
    assert said == ["sleeper was ended by SIGKILL; starting it again in 0.5 s"]
    assert second
    assert not await alive(second)


async def test_what_cannot_start_says_so(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda line: None)
    with pytest.raises(FileNotFoundError):
        await supervisor.start(Command("none", ["/does/not/exist"]))

    async def never() -> bool:
        return False

    short = await supervisor.start(Command("short", ["sh", "-c", "echo why; exit 2"], output=tmp_path / "log"))
    with pytest.raises(NotReady, match=r"(?s)short ended 1 times while starting; the end of .*why"):
        await short.ready(never, seconds=5, lives=1)
    await supervisor.stop()


async def test_stopped_in_reverse_order() -> None:
    order: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        async def stop(self) -> None:
            order.append(self.name)

    supervisor = Supervisor()
    supervisor.add(Part("first"))
    supervisor.add(Part("second"))
    await supervisor.stop()
    assert order == ["second", "first"]


async def test_a_child_ends_when_we_are_killed() -> None:
    script = (
        "import asyncio\nfrom gateway.embedded.children import Command, spawn\n"
        "async def main():\n child = await spawn(Command('sleep', ['sleep', '60']))\n"
        " print(child.pid, flush=True)\n await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert await alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert not await alive(child)
