"""What the attempts at a backup are called, and who is in the way of whose removal."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

import models
from models import DatabaseBackup, TaskStatus
from models.backup_storage import storage
from tests.services.conftest import Api
from tests.services.files import database, folder, kept
from tests.services.place import backed_up, running
from workers.databases import backup as backups
from workers.databases import removal, wishes
from workers.databases.artefacts import Artefact
from workers.databases.containers import DatabaseFailed
from workers.databases.contract import Dump
from workers.databases.hold import Hold
from workers.databases.postgresql import POSTGRESQL
from workers.databases.streams import Meter
from workers.publishing import Publishing
from workers.runtime import Runtime

__all__ = ["database", "folder"]

INSTALLATION = str(uuid4())


@pytest.fixture
def runtime() -> Runtime:
    """A worker that has no Docker."""
    return Runtime(cast("Any", None), cast("Any", None), Publishing.host, INSTALLATION, "alpha")


@pytest.mark.parametrize("compresses", [True, False], ids=["compressed by the tool", "compressed here"])
async def test_an_attempt_removes_those_before_it_and_asks_the_engine_once_what_it_writes(
    database: models.Database, folder: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, compresses: bool
) -> None:
    row = await backed_up(database, status=TaskStatus.running, epoch=3, worker="alpha", compress=True)
    dumps, written = list[Dump](), list[Artefact]()
    suffix = ".dump" if compresses else ".dump.gz"

    def dump(*given: Any) -> Dump:
        dumps.append(replace(POSTGRESQL.dump(*given), compresses=compresses))
        return dumps[-1]

    async def dumped(_: Any, dump: Dump, artefact: Artefact, meter: Meter) -> int:
        written.append(artefact)
        return artefact.storage.write(artefact.name, [b"data"])

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(backups, "engine_of", lambda _: replace(POSTGRESQL, dump=dump))
    monkeypatch.setattr(backups, "running", nothing)
    monkeypatch.setattr(backups, "verified", nothing)
    monkeypatch.setattr(backups, "dumped", dumped)
    monkeypatch.setattr(Hold, "still_held", nothing)
    names = [f"{INSTALLATION}/{database.id}/{row.id}-{epoch}{suffix}" for epoch in (1, 2, 3)]
    for name in names[:2]:
        storage(row.storage).write(name, [b"left behind"])
    held = Hold(runtime, DatabaseBackup, row, database, Meter())
    await backups._work(held)
    assert kept(folder) == [folder / names[2]]
    assert [(each.name, each.compressed) for each in written] == [(names[2], not compresses)]
    assert len(dumps) == 1
    await backups._undo(held)
    assert kept(folder) == []


async def test_a_database_goes_once_no_other_one_is_filled_with_its_backup(
    api: Api, database: models.Database, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any, **__: Any) -> None: ...

    for name in ("remove_servers", "gone", "remove_secrets", "_remove_network"):
        monkeypatch.setattr(removal, name, nothing)
    other = await running(await models.Project.get(id=database.project_id), "other", type=database.type, version=database.version)
    backup = await backed_up(database)
    own = await wishes.restore(database, backup, safely=False)
    lent = await wishes.restore(other, backup, safely=False)
    answer = await api.owner.delete(f"/databases/{database.id}")
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "BUSY")
    assert (await models.DatabaseRestore.get(id=own.id)).status is TaskStatus.pending, "nothing was cancelled"
    with pytest.raises(DatabaseFailed, match="is being restored"):
        await removal.remove(runtime, database, nothing)
    await wishes.cancel(models.DatabaseRestore, lent.id)
    assert (await api.owner.delete(f"/databases/{database.id}")).status_code == 204
    await removal.remove(runtime, await models.Database.get(id=database.id), nothing)
    assert not await models.Database.filter(id=database.id).exists()
