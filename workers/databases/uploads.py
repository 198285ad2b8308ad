"""Backups that are uploaded: into the storage as they come, and looked at by a worker before they count.

A file of the storage, which this installation has encrypted, is decrypted on the way in, for those alone who may see every backup:
whose it was does not stand in it, and whoever got hold of another project's would have it opened here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue
from typing import Final, TypeVar
from uuid import UUID

import structlog

from models import Database, DatabaseBackup, Installation, StorageKind
from models.backup_storage import StorageFailed, storage
from models.database import together
from models.sealed import MAGIC, installation_keys, seal, unseal
from workers.databases import ENGINES, wishes
from workers.databases.credentials import credentials_of
from workers.databases.naming import GZIP_SUFFIX, file_name, object_name
from workers.databases.streams import Interrupted, Meter
from workers.facts import Busy, Contradiction

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


async def upload_backup(
    database: Database,
    name: str | None,
    chunks: AsyncIterator[bytes],
    *,
    unsealing: bool,
    enter: Callable[[DatabaseBackup], Awaitable[None]],
) -> DatabaseBackup:
    """Store what comes as a backup of a database, which waits for a worker then; what is encrypted only if it may be decrypted.

    `enter` is awaited in the transaction that stores the backup.

    Raises `Contradiction` when the database is stopped, too many wait, or it is encrypted and may not be decrypted, `WrongKey` and
    `Tampered` when it cannot be, `TooManyUploads`, `StorageFailed`, and whatever `chunks` and `enter` raise.
    Whatever is raised, nothing is left of what had come.
    """
    if _places.locked():
        raise TooManyUploads
    async with _places:
        backup, meter = await wishes.upload(database, name), Meter()
        called = _Names(database, (await Installation.get()).id)
        try:
            await poured(chunks, lambda come: _write(backup, called, meter, _plain(come, unsealing=unsealing)))
            backup.size, backup.checksum = meter.transferred, meter.checksum
            async with together():
                await wishes.uploaded(database, backup)
                await enter(backup)
            return backup
        except BaseException:
            if backup.stored_size is not None:
                removing = asyncio.get_running_loop().run_in_executor(_threads, _remove, backup.storage, str(backup.object_name))
                await asyncio.shield(removing)
            raise


@dataclass(frozen=True)
class _Names:
    """What an upload is called, which depends on whether it is in gzip's format."""

    database: Database
    installation: UUID

    def give(self, backup: DatabaseBackup) -> str:
        """Name a backup. The name of its object."""
        suffix = ENGINES[self.database.type].dump(credentials_of(self.database), backup.compress).suffix
        stored = object_name(self.installation, backup, 0, suffix + (GZIP_SUFFIX if backup.compress else ""))
        backup.object_name, backup.file_name = stored, file_name(backup, stored)
        return stored


def _plain(chunks: Iterator[bytes], *, unsealing: bool) -> Iterator[bytes]:
    """What comes, decrypted if it is encrypted. Raises `Contradiction` when that may not be, `WrongKey` and `Tampered`."""
    head = _head(chunks, len(MAGIC))
    if not head.startswith(MAGIC):
        yield from chain((head,), chunks)
        return
    if not unsealing:
        raise Contradiction("The file is encrypted; an owner or admin of the installation may upload it.", "BACKUP_ENCRYPTED")
    yield from unseal(chain((head,), chunks), installation_keys())


def _write(backup: DatabaseBackup, called: _Names, meter: Meter, plain: Iterator[bytes]) -> None:
    head = _head(plain, len(GZIP_MAGIC))
    backup.compress = head.startswith(GZIP_MAGIC)
    name, counted = called.give(backup), meter.through(chain((head,), plain))
    stored = seal(counted, installation_keys()[0]) if backup.encrypted else counted
    backup.stored_size = storage(backup.storage).write(name, stored)


def _head(chunks: Iterator[bytes], size: int) -> bytes:
    """The beginning: as much as tells what it is, if there is so much."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= size:
            break
    return head


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
