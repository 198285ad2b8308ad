"""Backups that are uploaded: into the storage as they come, and looked at by a worker before they count."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, TypeVar

import structlog

from models import Database, DatabaseBackup, Installation, StorageKind
from models.backup_storage import StorageFailed, storage
from models.sealed import installation_keys, seal
from workers.databases import ENGINES, wishes
from workers.databases.credentials import credentials_of
from workers.databases.naming import GZIP_SUFFIX, file_name, object_name
from workers.databases.streams import Interrupted, Meter
from workers.facts import Busy

GZIP_MAGIC: Final = b"\x1f\x8b\x08"
MOST: Final = 4
"""Uploads that one process takes at a time: each has a thread for as long as its client takes, and some 50 MiB on their way to a bucket."""
WAITING: Final = 16
"""Chunks that have come and wait for the storage."""

log = structlog.get_logger()

Result = TypeVar("Result")

_threads = ThreadPoolExecutor(MOST, "uploads")
_places = asyncio.Semaphore(MOST)


class TooManyUploads(Busy):
    """As many backups are uploaded as may: ask again later."""


async def upload_backup(database: Database, name: str | None, chunks: AsyncIterator[bytes]) -> DatabaseBackup:
    """Store what comes as a backup of a database, which waits for a worker then.

    Raises `Contradiction` when the database is stopped or too many wait, `TooManyUploads`, `StorageFailed`, and whatever `chunks` raise.
    Whatever is raised, nothing is left of what had come.
    """
    if _places.locked():
        raise TooManyUploads
    async with _places:
        backup = await wishes.upload(database, name)
        head = await _head(chunks)
        backup.compress = head.startswith(GZIP_MAGIC)
        suffix = ENGINES[database.type].dump(credentials_of(database), backup.compress).suffix
        stored = object_name((await Installation.get()).id, backup, 0, suffix + (GZIP_SUFFIX if backup.compress else ""))
        backup.object_name, backup.file_name = stored, file_name(backup, stored)
        meter = Meter()
        try:
            await poured(_after(head, chunks), lambda plain: _write(backup, stored, meter.through(plain)))
            backup.size, backup.checksum = meter.transferred, meter.checksum
            return await wishes.uploaded(database, backup)
        except BaseException:
            if backup.stored_size is not None:
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(_threads, _remove, backup.storage, stored))
            raise


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    """The beginning: as much as tells what it is."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= len(GZIP_MAGIC):
            break
    return head


async def _after(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


def _write(backup: DatabaseBackup, name: str, plain: Iterator[bytes]) -> None:
    stored = seal(plain, installation_keys()[0]) if backup.encrypted else plain
    backup.stored_size = storage(backup.storage).write(name, stored)


def _remove(kind: StorageKind, name: str) -> None:
    try:
        storage(kind).delete(name)
    except StorageFailed as error:
        log.warning("uploads.not_removed", name=name, error=str(error))


async def poured(chunks: AsyncIterator[bytes], take: Callable[[Iterator[bytes]], Result]) -> Result:
    """What `take`, in a thread, makes of chunks as they come; they come no faster than it takes them.

    What the chunks raise ends `take` by `Interrupted`, is waited for, and raised then. So is a cancellation.
    """
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(WAITING)
    waiting = SimpleQueue[bytes | None]()
    interrupted = True

    def given() -> Iterator[bytes]:
        while (chunk := waiting.get()) is not None:
            yield chunk
            loop.call_soon_threadsafe(room.release)
        if interrupted:
            raise Interrupted

    taking = loop.run_in_executor(_threads, take, given())
    taking.add_done_callback(lambda _: room.release())
    try:
        async for chunk in chunks:
            await room.acquire()
            if taking.done():
                return taking.result()
            waiting.put(chunk)
        interrupted = False
        waiting.put(None)
        return await asyncio.shield(taking)
    finally:
        waiting.put(None)
        await asyncio.wait([taking])
        if not taking.cancelled():
            taking.exception()
