"""Backups as they are stored: written from a dump, read back, verified, and fed to whatever loads them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from models import DatabaseBackup, StorageKind
from models.backup_storage import Storage, storage
from models.sealed import Tampered, WrongKey, installation_keys, seal, unseal
from workers.databases.containers import Container, DatabaseFailed
from workers.databases.contract import SENTENCES, Damaged, Dump, Engine
from workers.databases.naming import GZIP_SUFFIX
from workers.databases.streams import Meter, NotCompressed, compressed, decompressed, given, taken


@dataclass(frozen=True)
class Artefact:
    """A stored backup: where it lies, how it was written, and what it is known by once it is there."""

    kind: StorageKind
    name: str
    compressed: bool
    encrypted: bool
    size: int = 0
    checksum: str = ""

    @property
    def storage(self) -> Storage:
        """Where it lies. Raises `StorageFailed`."""
        return storage(self.kind)

    def chunks(self, meter: Meter) -> Iterator[bytes]:
        """The dump as the engine's tool wrote it. Raises `DatabaseFailed` and `StorageFailed`; at its end when it is another one."""
        try:
            read = self.storage.read(self.name)
            plain = meter.through(unseal(read, installation_keys()) if self.encrypted else read)
            yield from decompressed(plain) if self.compressed else plain
        except (Tampered, NotCompressed):
            raise damaged() from None
        except WrongKey:
            raise DatabaseFailed(
                "BACKUP_KEY_MISSING", "The backup was encrypted with a key that this installation does not have."
            ) from None
        if (meter.transferred, meter.checksum) != (self.size, self.checksum):
            raise damaged()


def damaged() -> DatabaseFailed:
    """The error of a backup that is not whole."""
    return DatabaseFailed("BACKUP_DAMAGED", SENTENCES["BACKUP_DAMAGED"])


def artefact_of(backup: DatabaseBackup) -> Artefact:
    """The artefact of a completed backup. Raises `DatabaseFailed` when it has none."""
    if backup.object_name is None or backup.size is None or backup.checksum is None:
        raise DatabaseFailed("BACKUP_MISSING", "The backup has no data.")
    packed = backup.object_name.endswith(GZIP_SUFFIX)
    return Artefact(backup.storage, backup.object_name, packed, backup.encrypted, backup.size, backup.checksum)


async def dumped(container: Container, dump: Dump, artefact: Artefact, meter: Meter) -> int:
    """Store what a dump prints. The bytes that are stored. Raises `DatabaseFailed` and `StorageFailed`, after which nothing is there."""

    def take(chunks: Iterator[bytes]) -> int:
        plain = meter.through(compressed(chunks) if artefact.compressed else chunks)
        return artefact.storage.write(artefact.name, seal(plain, installation_keys()[0]) if artefact.encrypted else plain)

    return await taken(lambda descriptor: container.written(dump.command, descriptor), take)


async def verified(engine: Engine, container: Container | None, artefact: Artefact, meter: Meter) -> None:
    """Read an artefact back to its end: that it is the one that was written, and that the engine takes it for a whole one.

    Without a container that runs, the first alone is found out where the engine's own tool would be asked. Raises `DatabaseFailed`
    and `StorageFailed`.
    """
    if engine.verify is not None and container is not None:
        command = engine.verify
        await given(lambda: artefact.chunks(meter), lambda descriptor: container.read(command, descriptor), whole=True)
        return
    await asyncio.to_thread(_inspected, engine, artefact, meter)


def _inspected(engine: Engine, artefact: Artefact, meter: Meter) -> None:
    inspection = engine.inspect() if engine.inspect is not None else None
    try:
        for chunk in artefact.chunks(meter):
            if inspection is not None:
                inspection.feed(chunk)
        if inspection is not None:
            inspection.finish()
    except Damaged:
        raise damaged() from None


async def discard(kind: StorageKind, *names: str) -> None:
    """Remove objects, those that there are."""

    def remove() -> None:
        for name in names:
            storage(kind).delete(name)

    await asyncio.to_thread(remove)
