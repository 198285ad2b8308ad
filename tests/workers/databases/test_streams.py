"""Data between a command and the storage: whole or not at all, whichever side fails, and never held."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import given as having
from hypothesis import strategies as st

from workers import processes
from workers.databases.containers import END, unframed
from workers.databases.streams import CHUNK, Meter, NotCompressed, compressed, decompressed, given, taken

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def run(*argv: str, **options: int) -> processes.Finished:
    return await processes.run(argv, env=ENVIRONMENT, deadline=20, capture=1 << 20, **options)  # type: ignore[arg-type]


def chunks(sizes: list[int]) -> Iterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number % 256]) * size


async def received(sizes: list[int], command: str) -> processes.Finished:
    """How a command ends that is given chunks of these sizes in frames."""
    found: list[processes.Finished] = []

    async def read(descriptor: int) -> None:
        found.append(await run(*unframed(("sh", "-c", command)), stdin=descriptor))

    await given(lambda: chunks(sizes), read)
    return found[0]


@pytest.mark.parametrize("sizes", [[], [1], [0, 5, 0], [CHUNK, 1, CHUNK, 70_000], [10] * 50])
async def test_what_is_given_comes_out_of_its_frames_as_it_was(sizes: list[int]) -> None:
    done = await received(sizes, "sleep 0.1; cat | sha256sum | cut -c1-64 >&2; true")
    expected = Meter()
    list(expected.through(chunks(sizes)))
    assert done.returncode == 0
    assert set(done.tail) == {expected.checksum, END}


async def test_data_that_are_cut_on_their_way_have_not_all_come() -> None:
    for data in (b"", b"5\nab", b"5\nabcde", b"5\nabcde0"):
        done = await processes.run(unframed(("cat",)), env=ENVIRONMENT, deadline=20, stdin=data)
        assert END not in done.tail


async def test_a_command_that_ends_early_ends_the_giving() -> None:
    done = await received([CHUNK] * 20, "head -c 10 >/dev/null; exit 3")
    assert done.returncode == 3
    assert END in done.tail


async def test_a_giver_that_fails_is_what_is_raised_and_the_command_is_ended() -> None:
    async def read(descriptor: int) -> None:
        await run(*unframed(("sh", "-c", "cat >/dev/null; sleep 60")), stdin=descriptor)

    def give() -> Iterator[bytes]:
        yield b"some"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        async with asyncio.timeout(15):
            await given(give, read)


async def test_what_a_command_takes_no_notice_of_is_given_nevertheless_when_all_shall_be() -> None:
    meter = Meter()

    async def read(descriptor: int) -> None:
        await run("true", stdin=descriptor)

    await given(lambda: meter.through(chunks([CHUNK] * 5)), read, whole=True)
    assert meter.transferred == 5 * CHUNK


async def write(script: str, descriptor: int) -> None:
    done = await run("sh", "-c", script, stdout=descriptor)
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}")


async def test_what_a_command_prints_is_taken_to_its_end() -> None:
    found = await taken(lambda descriptor: write("head -c 5000000 /dev/zero; printf end", descriptor), lambda parts: b"".join(parts))
    assert (len(found), found[-3:]) == (5_000_003, b"end")


async def test_the_chunks_of_a_command_that_fails_do_not_end_well() -> None:
    endings: list[str] = []

    def take(parts: Iterator[bytes]) -> None:
        try:
            for _ in parts:
                pass
            endings.append("whole")
        except RuntimeError:
            endings.append("cut")
            raise

    with pytest.raises(RuntimeError, match="status 4"):
        await taken(lambda descriptor: write("printf half; exit 4", descriptor), take)
    assert endings == ["cut"]


async def test_a_taker_that_fails_ends_the_command() -> None:
    def take(parts: Iterator[bytes]) -> None:
        next(parts)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        async with asyncio.timeout(15):
            await taken(lambda descriptor: write("while printf x; do :; done", descriptor), take)


async def test_a_transfer_that_is_cancelled_leaves_nobody_behind() -> None:
    endings: list[str] = []

    def take(parts: Iterator[bytes]) -> None:
        try:
            for _ in parts:
                pass
        except Exception as error:
            endings.append(type(error).__name__)
            raise

    task = asyncio.create_task(taken(lambda descriptor: write("printf some; sleep 60", descriptor), take))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert endings == ["Interrupted"]


@having(st.lists(st.binary(max_size=2000), max_size=8), st.integers(1, 500))
def test_gzip_comes_back(parts: list[bytes], size: int) -> None:
    packed = b"".join(compressed(parts))
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(decompressed(pieces)) == b"".join(parts)


def test_gzip_that_is_cut_or_followed_by_something_is_told() -> None:
    packed = b"".join(compressed([b"some text " * 100]))
    for wrong in (packed[:-1], packed[: len(packed) // 2], b"", packed + b"x", b"plain"):
        with pytest.raises(NotCompressed):
            list(decompressed([wrong]))
