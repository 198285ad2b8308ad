"""Builds that print more than anybody wants: the pipe is drained, the worker stays small, the log ends with a word about it."""

import asyncio
import os
from collections.abc import Callable, Iterable

import pytest

from tests.faults.engine import Call
from tests.faults.installation import Installation
from tests.faults.source import Source

Tell = Callable[[str], None]
MEBI = 1 << 20
CUT = "cut"
MOST_STORED = 8_000_000
"""Characters of one deployment's log."""
GROWTH = 50 * MEBI
CHUNK = 1 << 16
KINDS = {
    "many lines": b"".join(b"%05d %s\n" % (number, b"x" * 57) for number in range(CHUNK // 64)),
    "one line": b"x" * CHUNK,
    "binary junk": os.urandom(CHUNK),
}


async def prints(kind: str, size: int, installation: Installation, source: Source, tell: Tell) -> None:
    """Build with so many bytes of output."""
    app = await installation.app(gitSource=source.git)
    await installation.succeeded(await installation.deploy(app))
    before = {worker.pid: worker.memory() for worker in installation.workers}

    def output(call: Call) -> Iterable[bytes | tuple[bytes, int]]:
        yield KINDS[kind], size // CHUNK
        yield b"\n#6 the end\n"

    installation.stand_in.commands.output, plain = output, installation.stand_in.commands.output
    id = await installation.deploy(app)
    over = asyncio.Event()
    peaks = asyncio.create_task(peak(installation, over))
    await installation.succeeded(id, within=600)
    over.set()
    highest = await peaks
    installation.stand_in.commands.output = plain
    growth = max(highest[pid] - rss for pid, rss in before.items())
    (build,) = installation.stand_in.of("build", deployment=id)
    events = await installation.events(id)
    stored = sum(len(event["message"]) for event in events)
    tell(
        f"{size // MEBI} MiB of {kind}: built in {(build.ended or 0) - build.began:.1f} s, {len(events)} events with {stored} characters, "
        f"worker + {growth / MEBI:.1f} MiB"
    )
    assert build.code == 0
    assert growth < GROWTH
    assert stored < MOST_STORED
    assert any(CUT in event["message"] for event in events)
    assert max(len(event["message"]) for event in events) < 10_000


async def peak(installation: Installation, over: asyncio.Event) -> dict[int, int]:
    """The most memory that each worker had."""
    highest: dict[int, int] = {}
    while not over.is_set():
        for worker in installation.workers:
            highest[worker.pid] = max(highest.get(worker.pid, 0), worker.memory())
        await asyncio.sleep(0.05)
    return highest


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hundred_megabytes_of_output(kind: str, installation: Installation, source: Source, tell: Tell) -> None:
    await prints(kind, 100 * MEBI, installation, source, tell)


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
async def test_a_gigabyte_of_output(kind: str, installation: Installation, source: Source, tell: Tell) -> None:
    await prints(kind, 1024 * MEBI, installation, source, tell)
