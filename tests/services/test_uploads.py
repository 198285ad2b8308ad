"""Uploads of backups: what comes is stored as it comes, or nothing is left of it."""

import asyncio
import gzip
import hashlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import models
from gateway import body
from models import BackupTrigger, DatabaseType, StorageKind, TaskStatus
from models.backup_storage import storage
from models.backup_storage.folder import Folder
from models.database import is_together
from models.s3 import s3 as described
from models.sealed import HEADER, installation_keys, seal, unseal
from models.settings import settings
from schema import perform
from schema.surface import surface
from tests.services.conftest import Api, Person
from tests.services.files import FINISHED, MIB, application_of, database, folder, kept, memory, path_of, scope_of, stored
from tests.services.place import running
from tests.services.s3 import Server, s3
from tests.services.test_audit import entries, given
from tests.services.test_downloads import some
from tests.services.test_prometheus import COUNT, told
from tests.services.test_prometheus import PATH as METRICS
from workers.databases import uploads, wishes

__all__ = ["database", "folder", "s3"]

DUMP = b"PGDMP" + os.urandom(3 * MIB + 77)
OCTETS = {"Content-Type": "application/octet-stream"}
FLAT = 20 * MIB


async def uploaded(api: Api, database: models.Database, content: Any = DUMP, *, by: Person | None = None, **more: Any) -> Any:
    """The answer to an upload."""
    options = {"headers": OCTETS} | more
    return await (by or api.owner).call("POST", f"/databases/{database.id}/backups/upload", content=content, **options)


async def in_pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    """Content of which nobody knows how long it is."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def row_of(answer: Any) -> models.DatabaseBackup:
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "pending"
    return await models.DatabaseBackup.get(id=answer.json()["backupId"])


async def nothing_is_left(folder: Path) -> bool:
    """Whether there is neither a file nor a row."""
    return kept(folder) == [] and await models.DatabaseBackup.all().count() == 0


async def test_what_is_uploaded_waits_for_a_worker_as_it_is(api: Api, database: models.Database, folder: Path) -> None:
    answer = await uploaded(api, database, params={"name": "before the sale"})
    row = await row_of(answer)
    installation = await models.Installation.get()
    assert row.object_name == f"{installation.id}/{database.id}/{row.id}-0.dump"
    assert kept(folder) == [folder / str(row.object_name)]
    assert (folder / str(row.object_name)).read_bytes() == DUMP
    assert (row.size, row.stored_size, row.checksum) == (len(DUMP), len(DUMP), hashlib.sha256(DUMP).hexdigest())
    assert (row.trigger, row.status, row.epoch, row.compress, row.encrypted) == (BackupTrigger.upload, TaskStatus.pending, 0, False, False)
    assert (row.name, row.file_name) == ("before the sale", "before-the-sale.dump")
    assert (row.type, row.version, row.project_id, row.storage) == (database.type, "16", database.project_id, StorageKind.local)
    assert answer.json()["_links"]["backup"] == f"/api/databases/{database.id}/backups/{row.id}"


async def test_an_upload_is_called_after_its_database_and_the_time_unless_it_has_a_name(api: Api, database: models.Database) -> None:
    row = await row_of(await uploaded(api, database))
    assert row.name.startswith("orders-2")
    assert row.file_name == f"{row.name}.dump"


@pytest.mark.parametrize(
    ("type", "suffix"),
    [(DatabaseType.postgresql, ".dump"), (DatabaseType.mysql, ".sql"), (DatabaseType.mongodb, ".archive"), (DatabaseType.redis, ".rdb")],
)
@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "gzip"])
async def test_gzip_is_known_by_its_beginning(api: Api, database: models.Database, type: DatabaseType, suffix: str, packed: bool) -> None:
    other = await running(await models.Project.get(id=database.project_id), "other", type=type)
    content = gzip.compress(DUMP[:1000]) if packed else DUMP[:1000]
    row = await row_of(await uploaded(api, other, in_pieces(content, 1)))
    assert str(row.object_name).endswith(f"-0{suffix}{'.gz' if packed else ''}")
    assert (row.compress, row.size) == (packed, len(content))


async def test_a_single_byte_is_an_upload(api: Api, database: models.Database) -> None:
    assert (await row_of(await uploaded(api, database, b"\x1f"))).size == 1


async def test_it_is_sealed_where_backups_are_encrypted_and_comes_back_as_it_was(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings().__dict__, "backup_encryption", True)
    row = await row_of(await uploaded(api, database, in_pieces(DUMP)))
    (file,) = kept(folder)
    sealed = file.read_bytes()
    assert DUMP[:1000] not in sealed
    assert b"".join(unseal([sealed], installation_keys())) == DUMP
    assert (row.encrypted, row.size, row.stored_size) == (True, len(DUMP), len(sealed))
    assert row.stored_size > HEADER + len(DUMP)
    await models.DatabaseBackup.filter(id=row.id).update(status=TaskStatus.completed, finished_at=FINISHED)
    assert (await api.owner.get(path_of(row))).content == DUMP


@pytest.mark.parametrize("encrypted", [False, True], ids=["as plain", "encrypted anew"])
@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "gzip"])
async def test_an_encrypted_file_of_the_storage_is_decrypted_on_its_way_in(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool, packed: bool
) -> None:
    monkeypatch.setitem(settings().__dict__, "backup_encryption", encrypted)
    plain = gzip.compress(DUMP) if packed else DUMP
    sealed = b"".join(seal([plain], installation_keys()[0]))
    row = await row_of(await uploaded(api, database, in_pieces(sealed, 333_333)))
    assert (row.compress, row.encrypted, row.size, row.checksum) == (packed, encrypted, len(plain), hashlib.sha256(plain).hexdigest())
    assert str(row.object_name).endswith("-0.dump.gz" if packed else "-0.dump")
    (file,) = kept(folder)
    found = file.read_bytes()
    assert found != sealed
    assert (b"".join(unseal([found], installation_keys())) if encrypted else found) == plain


async def test_only_an_operator_may_have_a_file_decrypted(api: Api, database: models.Database, folder: Path) -> None:
    """It could be another project's, which does not stand in it."""
    sealed = b"".join(seal([DUMP], installation_keys()[0]))
    refused = (await uploaded(api, database, sealed, by=await some(api, database, "admin"))).json()["error"]
    assert (refused["code"], refused["details"]["reason"]) == ("CONFLICT", "BACKUP_ENCRYPTED")
    assert await nothing_is_left(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"".join(seal([DUMP], bytes(32))), "BACKUP_KEY_MISSING"),
        (lambda sealed: sealed[:-1], "BACKUP_DAMAGED"),
        (lambda sealed: sealed[: HEADER + (1 << 20) + 16], "BACKUP_DAMAGED"),
        (lambda sealed: sealed[:8], "BACKUP_DAMAGED"),
    ],
    ids=["of another key", "cut", "cut between blocks", "cut after its mark"],
)
async def test_an_encrypted_file_that_cannot_be_decrypted_is_refused_with_its_reason(
    api: Api, database: models.Database, folder: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    answer = await uploaded(api, database, in_pieces(change(b"".join(seal([DUMP], installation_keys()[0])))))
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, reason)
    assert await nothing_is_left(folder)


async def test_it_goes_where_the_schedule_says(api: Api, database: models.Database, s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "backup_s3", described(json.dumps(s3.settings(prefix="uploads"))))
    await models.Database.filter(id=database.id).update(schedule={"storage": "s3"})
    large = os.urandom(20 * MIB)
    row = await row_of(await uploaded(api, database, in_pieces(large, MIB)))
    assert row.storage is StorageKind.s3
    assert b"".join(storage(StorageKind.s3).read(str(row.object_name))) == large
    monkeypatch.setitem(settings().__dict__, "upload_limit", 19)
    answer = await uploaded(api, database, in_pieces(large, MIB))
    assert answer.status_code == 413
    assert storage(StorageKind.s3).names() == [row.object_name]


async def test_only_an_admin_of_the_project_may_and_each_upload_is_entered(api: Api, database: models.Database, folder: Path) -> None:
    assert (await uploaded(api, database, by=api.anonymous)).status_code == 401
    assert (await uploaded(api, database, by=await api.person())).status_code == 404
    for role in ("viewer", "developer"):
        assert (await uploaded(api, database, by=await some(api, database, role))).status_code == 403
    assert await nothing_is_left(folder)
    admin = await some(api, database, "admin")
    row = await row_of(await uploaded(api, database, by=admin, params={"name": "mine"}))
    entry, forbidden, _ = await entries(api, action="backups.upload")
    assert (entry["username"], entry["outcome"], entry["resourceId"]) == (admin.username, "success", str(database.id))
    assert given(entry) == {"name": None, "databaseBackupId": str(row.id)}
    assert forbidden["outcome"] == "FORBIDDEN"


async def test_an_upload_and_its_entry_are_stored_together_or_not_at_all(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        assert is_together()
        assert await models.DatabaseBackup.all().count() == 1
        raise ConnectionError("away")

    monkeypatch.setattr(perform, "enter", away)
    assert (await uploaded(api, database)).status_code == 503
    assert await nothing_is_left(folder)


async def test_a_key_for_repetition_is_refused_instead_of_ignored(api: Api, database: models.Database, folder: Path) -> None:
    answer = await uploaded(api, database, headers=OCTETS | {"Idempotency-Key": "once"}, params={"nome": "x"})
    problems = answer.json()["error"]["details"]["errors"]
    assert (answer.status_code, [(each["field"], each["constraint"]) for each in problems]) == (
        400,
        [("nome", "unknown"), ("Idempotency-Key", "unknown")],
    )
    assert await nothing_is_left(folder)


async def test_whoever_may_not_sends_nothing(api: Api, database: models.Database) -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    assert (await uploaded(api, database, unread(), by=api.anonymous)).status_code == 401
    assert (await uploaded(api, database, unread(), params={"nome": "x"})).status_code == 400
    assert (await uploaded(api, database, unread(), headers={"Content-Type": "application/json"})).status_code == 415


@pytest.mark.parametrize("content", [b"", in_pieces(b"")], ids=["of no length", "in no chunks"])
async def test_an_empty_body_is_none(api: Api, database: models.Database, folder: Path, content: Any) -> None:
    answer = await uploaded(api, database, content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_INPUT")
    assert answer.json()["error"]["message"] == "The request body is empty."
    assert await nothing_is_left(folder)


async def test_a_body_has_to_say_that_it_is_bytes(api: Api, database: models.Database) -> None:
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data; boundary=x"}):
        answer = await uploaded(api, database, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert answer.json()["error"]["message"] == "The request body must be application/octet-stream."


@pytest.mark.parametrize("query", [{"name": ".hidden"}, {"name": "a/b"}, {"name": ""}, {"nome": "a"}, [("name", "a"), ("name", "b")]])
async def test_what_is_wrong_beside_the_body_is_told(api: Api, database: models.Database, folder: Path, query: Any) -> None:
    answer = await uploaded(api, database, params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert await nothing_is_left(folder)


@pytest.mark.parametrize("chunked", [False, True])
async def test_more_than_the_limit_is_too_large(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setitem(settings().__dict__, "upload_limit", 3)
    answer = await uploaded(api, database, in_pieces(DUMP) if chunked else DUMP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert answer.json()["error"]["message"] == "The request body is larger than 3 MiB."
    assert await nothing_is_left(folder)
    row = await row_of(await uploaded(api, database, in_pieces(DUMP[: 3 * MIB]) if chunked else DUMP[: 3 * MIB]))
    assert row.size == 3 * MIB


async def sent(api: Api, database: models.Database, chunks: Iterable[bytes], then: Callable[[], Any]) -> list[Any]:
    """What is answered to somebody who sends chunks; `then` is awaited for what comes after them."""
    messages = list[Any]()
    coming = iter(chunks)

    async def receive() -> Any:
        await asyncio.sleep(0)
        chunk = next(coming, None)
        return await then() if chunk is None else {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        messages.append(message)

    headers = ((b"content-type", b"application/octet-stream"), (b"transfer-encoding", b"chunked"))
    scope = scope_of(api.owner.token, "POST", f"/api/databases/{database.id}/backups/upload", *headers)
    await application_of(api)(scope, receive, send)
    return messages


async def disconnected() -> Any:
    return {"type": "http.disconnect"}


async def ended() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize("number", [0, 1, 50])
async def test_whoever_goes_away_leaves_nothing(api: Api, database: models.Database, folder: Path, number: int) -> None:
    assert await sent(api, database, [b"PGDMP" * 20_000] * number, disconnected) == []
    assert await nothing_is_left(folder)
    assert await models.AuditEntry.filter(action="backups.upload").count() == 0


async def test_whoever_sends_no_more_is_given_up(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "SILENCE", 0.1)
    start, answer = await sent(api, database, [b"PGDMP"] * 3, asyncio.Event().wait)
    assert (start["status"], json.loads(answer["body"])["error"]["message"]) == (400, "The request body comes too slowly.")
    assert await nothing_is_left(folder)


@pytest.mark.parametrize(("size", "status"), [(1, 400), (1000, 202)])
async def test_whoever_sends_next_to_nothing_is_given_up_and_whoever_sends_slowly_is_not(
    api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch, size: int, status: int
) -> None:
    """What takes longer than the patience for a silence is taken as long as enough of it comes."""
    monkeypatch.setattr(body, "SILENCE", 0.5)
    monkeypatch.setattr(body, "LEAST", 1000)
    left = 20

    async def drip() -> Any:
        nonlocal left
        await asyncio.sleep(0.05)
        left -= 1
        return {"type": "http.request", "body": b"x" * size, "more_body": True} if left else await ended()

    start, _ = await sent(api, database, [b"PGDMP"], drip)
    assert (start["status"], left > 0) == (status, status == 400)


async def test_a_gateway_that_stops_leaves_nothing(api: Api, database: models.Database, folder: Path) -> None:
    uploading = asyncio.create_task(sent(api, database, [b"PGDMP"] * 3, asyncio.Event().wait))
    async with asyncio.timeout(10):
        while not kept(folder):
            await asyncio.sleep(0.01)
    uploading.cancel()
    await asyncio.wait([uploading], timeout=10)
    assert uploading.cancelled()
    assert await nothing_is_left(folder)


async def test_a_database_that_is_stopped_meanwhile_takes_no_upload(api: Api, database: models.Database, folder: Path) -> None:
    async def stopped() -> Any:
        await models.Database.filter(id=database.id).update(stopped=True)
        return await ended()

    start, answer = await sent(api, database, [DUMP], stopped)
    assert (start["status"], json.loads(answer["body"])["error"]["details"]) == (409, {"reason": "DATABASE_STOPPED"})
    assert await nothing_is_left(folder)
    refused = (await uploaded(api, database)).json()["error"]
    assert (refused["code"], refused["details"]["reason"]) == ("CONFLICT", "DATABASE_STOPPED")


async def test_no_more_wait_than_may(api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "MOST_WAITING", 1)
    await row_of(await uploaded(api, database))
    refused = (await uploaded(api, database)).json()["error"]
    assert (refused["code"], refused["details"]["reason"]) == ("CONFLICT", "TOO_MANY")
    assert len(kept(folder)) == 1


async def test_no_more_are_uploaded_at_a_time_than_may(api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_places", asyncio.Semaphore(1))
    refused = list[Any]()

    async def another() -> Any:
        refused.append(await uploaded(api, database))
        return await ended()

    start, _ = await sent(api, database, [DUMP], another)
    assert (start["status"], refused[0].status_code, refused[0].json()["error"]["code"]) == (202, 503, "SERVICE_UNAVAILABLE")
    await row_of(await uploaded(api, database))


async def test_a_storage_that_fails_is_unavailable(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = folder / "file"
    in_the_way.write_bytes(b"")
    monkeypatch.setitem(settings().__dict__, "backup_directory", in_the_way / "below")
    answer = await uploaded(api, database, in_pieces(DUMP))
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (503, "STORAGE_UNREACHABLE")
    await models.Database.filter(id=database.id).update(schedule={"storage": "s3"})
    answer = await uploaded(api, database)
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "STORAGE_NOT_CONFIGURED")
    assert kept(folder) == [in_the_way]


async def test_what_cannot_be_removed_is_told(api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> Any:
        raise ConnectionError("away")

    def full(self: Folder, name: str) -> None:
        raise OSError(5, "broken")

    monkeypatch.setattr(wishes, "uploaded", away)
    monkeypatch.setattr(Folder, "_delete", full)
    with capture_logs() as logs:
        assert (await uploaded(api, database)).status_code == 503
    assert [each["event"] for each in logs if each["event"].startswith("uploads.")] == ["uploads.not_removed"]


async def flat(api: Api, database: models.Database, megabytes: int) -> int:
    """Bytes of memory that an upload of so many MiB takes at most."""
    before, most = memory(), 0

    def chunks() -> Any:
        nonlocal most
        for number in range(megabytes * 16):
            most = max(most, memory())
            yield number.to_bytes(8) * (MIB // 128)

    start, _ = await sent(api, database, chunks(), ended)
    assert start["status"] == 202
    assert (await models.DatabaseBackup.all().order_by("-id").first()).size == megabytes * MIB  # type: ignore[union-attr]
    return most - before


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("megabytes", [30, pytest.param(200, marks=pytest.mark.full)])
async def test_a_large_upload_takes_no_more_memory_than_a_small_one(
    api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch, encrypted: bool, megabytes: int
) -> None:
    monkeypatch.setitem(settings().__dict__, "backup_encryption", encrypted)
    await flat(api, database, 2)
    assert await flat(api, database, megabytes) < FLAT


async def test_a_slow_storage_is_waited_for(api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client sends is taken no faster than it is stored, and others are answered meanwhile."""
    sent_so_far, seen = 0, list[int]()
    write = Folder._write
    go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stalled(self: Folder, name: str, source: Any) -> None:
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)
        write(self, name, source)

    def chunks() -> Any:
        nonlocal sent_so_far
        for _ in range(100):
            sent_so_far += 1
            yield DUMP[:1000]

    monkeypatch.setattr(Folder, "_write", stalled)
    uploading = asyncio.create_task(sent(api, database, chunks(), ended))
    for _ in range(5):
        assert (await api.owner.get("/users/me")).status_code == 200
        await asyncio.sleep(0.05)
        seen.append(sent_so_far)
    assert seen[-1] == seen[-2] <= uploads.WAITING + 4
    go.set()
    assert (await uploading)[0]["status"] == 202


def test_graphql_carries_no_files() -> None:
    schema = surface().schema.as_str()
    assert "cancelBackup" in schema
    assert "uploadBackup" not in schema
    assert "backupDownload" not in schema


async def test_whatever_carries_a_file_is_not_timed_as_a_request_however_it_ends(
    api: Api, database: models.Database, scraped: dict[str, str]
) -> None:
    backup = await stored(database, [DUMP])
    first = told(await api.client.get(METRICS, headers=scraped))[COUNT]
    assert (await api.owner.get(path_of(backup))).status_code == 200
    assert (await api.owner.call("HEAD", path_of(backup))).status_code == 200
    assert (await api.owner.get(path_of(backup), headers={"If-None-Match": "*"})).status_code == 304
    assert (await uploaded(api, database)).status_code == 202
    assert (await uploaded(api, database, b"")).status_code == 400
    last = told(await api.client.get(METRICS, headers=scraped))[COUNT]
    assert Counter(last) - Counter(first) == {("GET", "2xx"): 1}, "nothing but the first scrape"
