"""Child processes: drained, bounded, ended with all their descendants."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import processes
from workers.processes import CUT, LINE_LIMIT, DeadlineExceeded, Finished, Lines, run

ENV = {"PATH": os.environ["PATH"]}


async def sh(script: str, *arguments: str, deadline: float = 20, **kw) -> Finished:
    return await run(["sh", "-c", script, "sh", *arguments], env=ENV, deadline=deadline, **kw)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_returns_code_tail_and_tells_every_line():
    seen = []
    done = await sh("echo one; echo two >&2; exit 3", on_line=lambda stream, text: seen.append((stream, text)))
    assert done.returncode == 3
    assert sorted(seen) == [("stderr", "two"), ("stdout", "one")]
    assert sorted(done.tail) == ["one", "two"]


async def test_environment_directory_and_stdin_are_exactly_what_was_given(tmp_path: Path):
    done = await run(["sh", "-c", 'pwd; cat; echo "$A"'], env=ENV | {"A": "x"}, cwd=tmp_path, deadline=5, stdin=b"in\n")
    assert done.tail == (str(tmp_path), "in", "x")
    assert (await sh("env | grep -c HOME")).tail == ("0",)


async def test_captures_raw_stdout_up_to_a_limit():
    done = await sh("printf 'a\\0b\\nc'", capture=4)
    assert done.stdout == b"a\0b\n"
    assert done.tail == ("ab", "c")


async def test_a_command_that_does_not_exist_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        await run(["/nonexistent/command"], env=ENV, deadline=5)


async def test_keeps_the_last_fifty_lines():
    assert (await sh("seq 1 1000")).tail == tuple(str(n) for n in range(951, 1001))


async def test_a_huge_line_is_cut_with_bounded_memory():
    process = psutil.Process()
    before = process.memory_info().rss
    done = await sh("head -c 60000000 /dev/zero | tr '\\0' a; echo; echo after")
    assert done.tail == ("a" * LINE_LIMIT + CUT, "after")
    assert process.memory_info().rss - before < 15 << 20


async def test_binary_junk_are_drained_with_bounded_memory():
    process = psutil.Process()
    before = process.memory_info().rss
    done = await sh("head -c 10000000 /dev/urandom", on_line=lambda stream, text: text.encode())
    assert done.returncode == 0
    assert process.memory_info().rss - before < 5 << 20


async def test_the_deadline_ends_the_whole_group():
    pids: list[int] = []
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        await sh("sleep 60 & echo $!; wait", deadline=0.4, on_line=lambda _, text: pids.append(int(text)))
    assert time.monotonic() - start < 3
    assert await gone(pids[0])
    assert caught.value.tail == (str(pids[0]),)


async def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "TERM_GRACE", 0.3)
    pids: list[int] = []
    with pytest.raises(DeadlineExceeded):
        await sh(
            "trap '' TERM; (trap '' TERM; sleep 60) & echo $!; wait; wait; sleep 60", deadline=0.3, on_line=lambda _, t: pids.append(int(t))
        )
    assert await gone(pids[0])


async def test_cancellation_ends_the_group_before_it_returns():
    pids: list[int] = []
    task = asyncio.create_task(sh("sleep 60 & echo $!; echo $$; wait", on_line=lambda _, text: pids.append(int(text))))
    while len(pids) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids)


async def test_a_second_cancellation_does_not_wait_for_the_grace(monkeypatch: pytest.MonkeyPatch):
    pids: list[int] = []
    task = asyncio.create_task(sh("trap '' TERM; echo $$; while :; do sleep 0.1; done", on_line=lambda _, text: pids.append(int(text))))
    while not pids:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.2)
    assert alive(pids[0])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)
    assert await gone(pids[0])


async def test_what_on_line_raises_ends_the_process_and_is_raised():
    class LeaseLostError(Exception): ...

    pids: list[int] = []

    def lost(stream: str, text: str) -> None:
        pids.append(int(text))
        raise LeaseLostError

    with pytest.raises(LeaseLostError):
        await sh("echo $$; sleep 60", on_line=lost)
    assert await gone(pids[0])


async def test_a_grandchild_that_holds_the_pipe_does_not_hang_it():
    start = time.monotonic()
    pids: list[int] = []
    done = await sh("sleep 60 & echo $!; exit 7", on_line=lambda _, text: pids.append(int(text)))
    assert done.returncode == 7
    assert 0.5 < time.monotonic() - start < 4
    assert await gone(pids[0])


async def test_the_child_dies_with_its_parent(tmp_path: Path):
    script = f"""
import asyncio, os, sys
sys.path.insert(0, {str(Path.cwd())!r})
from workers.processes import run
asyncio.run(run(["sh", "-c", "echo $$ > {tmp_path}/pid; exec sleep 60"], env=os.environ, deadline=60))
"""
    parent = await asyncio.create_subprocess_exec(str(Path.cwd() / ".venv/bin/python"), "-c", script)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        await asyncio.sleep(0.02)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    assert await gone(pid)


async def test_a_file_over_the_limit_ends_the_process(tmp_path: Path):
    done = await run(["dd", "if=/dev/zero", f"of={tmp_path}/big", "bs=64k", "count=100"], env=ENV, deadline=5, max_file_bytes=1 << 20)
    assert done.returncode == -signal.SIGXFSZ or done.returncode == 1
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_lines_are_clean():
    lines = Lines()
    assert lines.feed(b"\x1b[31mred\x1b[0m\tx\x00\r\n") == ["red\tx"]
    assert lines.feed(b"10%\r20%\r") == ["10%", "20%"]
    assert lines.feed(b"\nnext\n") == ["next"]
    assert lines.feed(b"\x1b]8;;http://x\x07link\x1b]8;;\x07 \xff\xfe\n") == ["link ��"]
    assert lines.feed(b"no end") == []
    assert lines.flush() == ["no end"]
    assert lines.flush() == []


def test_a_long_line_of_wide_characters_is_cut_between_characters():
    lines = Lines()
    [line] = lines.feed("€".encode() * 5000 + b"\n")
    assert line == "€" * (LINE_LIMIT // 3) + CUT


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_become_storable_lines_wherever_they_are_cut(data: bytes, at: int):
    whole = Lines()
    split = Lines()
    expected = whole.feed(data) + whole.flush()
    assert split.feed(data[:at]) + split.feed(data[at:]) + split.flush() == expected
    for line in expected:
        assert "\0" not in line
        assert "\x1b" not in line
        line.encode()
