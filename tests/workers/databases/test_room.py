"""What writes on the disk of a database ends before that is full, with all that it has begun."""

import os
from pathlib import Path

import pytest

from workers import processes
from workers.databases.contract import Command
from workers.databases.room import FULL, RESERVE, roomy


@pytest.fixture
def free(tmp_path: Path) -> Path:
    """Where it stands how many MiB are free, and on which the only `stat` that there is relies."""
    told = tmp_path / "free"
    stat = tmp_path / "stat"
    stat.write_text(f'#!/bin/sh\n[ "$4" = /data ] && echo "$(($(cat {told}) * 256)) 4096"\n')
    stat.chmod(0o755)
    told.write_text(str(RESERVE))
    return told


async def run(free: Path, script: str, folder: str = "/data") -> processes.Finished:
    argv = roomy(Command(("sh", "-c", script)), folder).argv
    return await processes.run(argv, env={"PATH": f"{free.parent}:{os.environ['PATH']}"}, deadline=20, capture=1 << 10, stdin=b"given")


async def test_a_command_that_has_room_reads_writes_and_ends_as_it_would(free: Path) -> None:
    done = await run(free, "cat; sleep 0.3; exit 3")
    assert (done.returncode, done.stdout, FULL in done.tail) == (3, b"given", False)


async def test_a_command_without_room_does_not_begin(free: Path) -> None:
    free.write_text(str(RESERVE - 1))
    done = await run(free, "echo begun")
    assert (done.returncode, done.stdout, FULL in done.tail) == (1, b"", True)


async def test_a_command_is_ended_with_what_it_has_begun_when_the_room_goes(free: Path) -> None:
    ended = free.parent / "ended"
    done = await run(free, f"(trap 'echo > {ended}; exit' TERM; while :; do sleep 0.1; done) & echo {RESERVE - 1} > {free}; sleep 15; true")
    assert done.returncode not in (0, None)
    assert FULL in done.tail
    assert ended.exists()


async def test_a_disk_of_which_nothing_is_told_counts_as_one_with_room(free: Path) -> None:
    done = await run(free, "cat", folder="/elsewhere")
    assert (done.returncode, done.stdout) == (0, b"given")
