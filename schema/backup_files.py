"""The files of backups: as they are in their storage, decrypted on the way."""

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

import models
from models.backup_storage import NoObject, StorageFailed, storage
from models.sealed import Tampered, WrongKey, installation_keys, plain_size, unsealed_range
from schema.errors import Conflict, ServiceUnavailable
from schema.files import File, beside

PATIENCE: Final = 15.0
"""Seconds in which a storage has to answer."""


@contextmanager
def told() -> Iterator[None]:
    """Raise what a storage raises, and what is wrong with what it holds, in the words of the API: `Conflict` or `ServiceUnavailable`."""
    try:
        yield
    except NoObject as error:
        raise Conflict(str(error), reason=error.code) from error
    except StorageFailed as error:
        raise ServiceUnavailable(str(error), reason=error.code) from error
    except WrongKey as error:
        sentence = "The backup was encrypted with a key that this installation does not have."
        raise Conflict(sentence, reason="BACKUP_KEY_MISSING") from error
    except Tampered as error:
        raise Conflict("The backup is damaged.", reason="BACKUP_DAMAGED") from error


async def file_of(backup: models.DatabaseBackup) -> File:
    """The file of a backup, which is in its storage.

    Raises `Conflict` when it is not complete, missing or damaged, `ServiceUnavailable` when its storage does not answer.
    """
    if backup.status is not models.TaskStatus.completed:
        raise Conflict("The backup is not complete.", reason="BACKUP_NOT_COMPLETED")
    name, size, checksum, finished = backup.object_name, backup.size, backup.checksum, backup.finished_at
    if name is None or size is None or checksum is None or finished is None:
        raise Conflict("The backup has no data.", reason=NoObject.code)
    stored = (backup.stored_size or 0) if backup.encrypted else size

    def check() -> None:
        """Find the object, and the key that opens it."""
        with told():
            if storage(backup.storage).size(name) != stored or (backup.encrypted and plain_size(stored) != size):
                raise Tampered
        for _ in read(0, 0) if backup.encrypted else ():
            pass

    def read(start: int, end: int) -> Generator[bytes]:
        with told():
            place = storage(backup.storage)
            if not backup.encrypted:
                yield from place.read(name, start, end)
                return

            def sealed(offset: int, count: int) -> bytes:
                return b"".join(place.read(name, offset, offset + count))

            yield from unsealed_range(sealed, stored, start, end, installation_keys())

    try:
        async with asyncio.timeout(PATIENCE):
            await beside(check)
    except TimeoutError:
        raise ServiceUnavailable("The storage for backups does not answer.", reason="STORAGE_UNREACHABLE") from None
    return File(backup.file_name or "backup", size, checksum, finished, read)
