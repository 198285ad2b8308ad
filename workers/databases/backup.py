"""A backup: what a database holds, streamed into the storage and read back before it counts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from models import BackupTrigger, DatabaseBackup
from workers.databases.artefacts import Artefact, artefact_of, discard, dumped, verified
from workers.databases.containers import running
from workers.databases.contract import Dump
from workers.databases.credentials import credentials_of
from workers.databases.desired import engine_of
from workers.databases.hold import Hold, hold
from workers.databases.naming import GZIP_SUFFIX, file_name, object_name
from workers.runtime import Runtime

Held = Hold[DatabaseBackup]


async def back_up(runtime: Runtime, id: UUID) -> None:
    """One message: do a backup, or look at an upload, unless it is not its turn."""
    await hold(runtime, DatabaseBackup, id, _work, _undo)


async def _work(held: Held) -> Mapping[str, Any]:
    if held.row.trigger is BackupTrigger.upload:
        return await _uploaded(held)
    database, row = held.database, held.row
    engine, credentials = engine_of(database), credentials_of(database)
    container = await running(held.runtime, database, credentials)
    dump = engine.dump(credentials, row.compress)
    await discard(row.storage, *[_name_of(held, dump, epoch) for epoch in range(1, row.epoch)])
    artefact = Artefact(row.storage, _name_of(held, dump, row.epoch), _is_packed(held, dump), row.encrypted)
    await DatabaseBackup.filter(id=row.id, epoch=row.epoch).update(object_name=artefact.name)
    meter = await held.step("dumping")
    stored = await dumped(container, dump, artefact, meter)
    artefact = replace(artefact, size=meter.transferred, checksum=meter.checksum)
    await verified(engine, container, artefact, await held.step("verifying"))
    return {
        "file_name": file_name(row, artefact.name),
        "size": artefact.size,
        "stored_size": stored,
        "checksum": artefact.checksum,
    }


async def _uploaded(held: Held) -> Mapping[str, Any]:
    """What was uploaded lies in the storage already, and counts once the engine takes it for a whole backup."""
    engine = engine_of(held.database)
    container = await running(held.runtime, held.database, credentials_of(held.database))
    await verified(engine, container, artefact_of(held.row), await held.step("verifying"))
    return {}


async def _undo(held: Held) -> Mapping[str, Any]:
    """Leave nothing that looks like a backup; an upload stays for another attempt, or until it is found as void."""
    if held.row.trigger is not BackupTrigger.upload:
        dump = engine_of(held.database).dump(credentials_of(held.database), held.row.compress)
        await discard(held.row.storage, _name_of(held, dump, held.row.epoch))
    return {}


def _name_of(held: Held, dump: Dump, epoch: int) -> str:
    """What an attempt's object is called."""
    return object_name(held.runtime.installation, held.row, epoch, dump.suffix + (GZIP_SUFFIX if _is_packed(held, dump) else ""))


def _is_packed(held: Held, dump: Dump) -> bool:
    """Whether what the engine's tool prints is compressed here."""
    return held.row.compress and not dump.compresses
