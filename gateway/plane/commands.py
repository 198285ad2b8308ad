"""The two commands: what they do one after the other, and what they say."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import asyncpg
from tortoise.exceptions import BaseORMException

from gateway.embedded.errors import EmbeddedError
from gateway.embedded.signals import cancelled_by_signals
from gateway.embedded.supervisor import say
from gateway.plane import files, passphrase
from gateway.plane.errors import NotWritten
from gateway.plane.place import database, keys_place
from models.database import AWAY
from models.plane import catalog
from models.plane.archive import Contents, Emit, checked
from models.plane.bridge import taken
from models.plane.dump import dump, opened
from models.plane.envelope import packed, unpacked
from models.plane.errors import PlaneError
from models.plane.load import load, refuse_newer

OUTSIDE: Final = "not in it: volumes of applications and databases, backups of databases, images, Caddy's certificates and authority"


def back_up(file: str) -> int:
    """Write the control plane to a file, or standard output for `-`. The exit status."""
    return _finished(lambda: _back_up(file))


def restore(file: str, *, replace: bool) -> int:
    """Make the control plane what it was when the file was written, or standard input for `-`. The exit status."""
    return _finished(lambda: _restore(file, replace=replace))


async def _back_up(file: str) -> None:
    secret, began = passphrase.chosen(), time.monotonic()
    with files.draft(file) as draft:
        async with database() as url, opened(url) as connection:

            async def write(emit: Emit) -> Contents:
                return await dump(connection, emit, keys_place())

            def take(pieces: Iterator[bytes]) -> int:
                return draft.write(packed(pieces, secret))

            written, size = await taken(write, take)
            left_out = await catalog.others(connection)
        if await asyncio.to_thread(lambda: checked(unpacked(draft.read(), secret))) != written:
            raise NotWritten
        await asyncio.to_thread(draft.place)
    if left_out:
        say(f"left out, since no dokploy made them: {', '.join(left_out)}")
    _close("backed up and read back", written, size, began)


async def _restore(file: str, *, replace: bool) -> None:
    secret, began = passphrase.known(), time.monotonic()
    with files.opened(file) as opened_file:
        backup = await asyncio.to_thread(lambda: checked(unpacked(files.pieces(opened_file), secret)))
        await refuse_newer(backup.manifest)
        async with database(make=True) as url:
            await load(url, backup, unpacked(files.pieces(opened_file), secret), replace=replace)
        size = opened_file.seek(0, 2)
    _close(f"restored as of {backup.manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC", backup, size, began)


def _close(done: str, contents: Contents, size: int, began: float) -> None:
    total = contents.total
    amount = f"{len(contents.tables)} tables, {total.rows:,} rows, {size:,} bytes, {time.monotonic() - began:.1f} s"
    say(f"{done}: {amount}; {OUTSIDE}")


def _finished(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run it to its end, or to a signal; what goes wrong is said in one line."""
    try:
        return 0 if asyncio.run(_signalled(work)) else 1
    except (PlaneError, EmbeddedError, OSError, asyncpg.PostgresError, BaseORMException, *AWAY) as error:
        away = isinstance(error, AWAY) and not isinstance(error, BrokenPipeError)
        say(f"{'the database cannot be reached: ' if away else ''}{' '.join(str(error).split()) or type(error).__name__}")
        return 1


def _unless_cut_off(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out what asyncpg says of a copy that was cancelled while data came: the connection is given up in any case."""
    if not context.get("message", "").startswith("Fatal error: protocol.data_received()"):
        loop.default_exception_handler(context)


async def _signalled(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Whether it was done and not stopped by a signal."""
    task = asyncio.ensure_future(work())
    asyncio.get_running_loop().set_exception_handler(_unless_cut_off)
    with cancelled_by_signals(task, say):
        await asyncio.wait([task])
    if task.cancelled():
        return False
    task.result()
    return True
