"""Downloads of backups: whole, in part, decrypted, and as fast as whoever reads them."""

import asyncio
import hashlib
import json
import os
import re
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import models
import schema.backup_files
from gateway import downloads
from gateway.drain import Drain
from gateway.embedded.stack import Stack
from gateway.embedded.up import free_port
from gateway.serve import GRACE
from models import StorageKind, TaskStatus
from models.backup_storage.folder import Folder
from models.s3 import s3 as described
from models.sealed import CHUNK
from models.settings import settings
from tests.services.conftest import Api, Person
from tests.services.files import (
    FINISHED,
    MIB,
    Reading,
    application_of,
    client_of,
    database,
    folder,
    kept,
    memory,
    path_of,
    scope_of,
    stored,
)
from tests.services.gateways import gateways
from tests.services.place import running
from tests.services.s3 import HOST, Server, s3
from tests.services.test_audit import entries
from tests.services.test_audit import given as fields_of

__all__ = ["database", "folder", "s3"]

PLAIN = os.urandom(2 * CHUNK + 12_345)
SOON = 10.0
SLOWER = 6.0
"""How much longer others may wait while somebody reads slowly."""
STALL = 0.3
"""Seconds that a slow storage takes for a piece."""

encryptions = pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])


async def some(api: Api, database: models.Database, role: str) -> Person:
    """Somebody who is of such a role in the project of a database."""
    person, team = await api.person(), await models.Team.create(name=f"Crew of a {role}")
    await models.Membership.create(team=team, user_id=person.id, role=models.TeamRole(role))
    await models.Project.filter(id=database.project_id).update(team_id=team.id)
    return person


@encryptions
async def test_a_backup_is_what_was_stored_and_says_what_it_is(api: Api, database: models.Database, encrypted: bool) -> None:
    backup = await stored(database, [PLAIN], encrypted=encrypted)
    answer = await api.owner.get(path_of(backup))
    assert (answer.status_code, answer.content == PLAIN) == (200, True)
    about = {
        "content-length": str(len(PLAIN)),
        "content-type": "application/octet-stream",
        "content-disposition": "attachment; filename=\"orders.dump\"; filename*=UTF-8''orders.dump",
        "accept-ranges": "bytes",
        "etag": f'"{hashlib.sha256(PLAIN).hexdigest()}"',
        "last-modified": "Mon, 30 Dec 2024 10:04:05 GMT",
        "cache-control": "no-store",
    }
    assert {name: answer.headers.get(name) for name in about} == about
    head = await api.owner.call("HEAD", path_of(backup), headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers.get(name) for name in about} == about


async def test_the_link_of_a_backup_leads_to_its_file(api: Api, database: models.Database) -> None:
    backup = await stored(database, [PLAIN])
    shown = (await api.owner.get(f"/databases/{database.id}/backups/{backup.id}")).json()
    assert (await api.owner.get(shown["_links"]["download"].removeprefix("/api"))).content == PLAIN
    assert (await api.client.get(f"/api/v1{path_of(backup)}", headers=api.owner.headers)).content == PLAIN


def test_a_name_that_is_not_ascii_is_told_twice() -> None:
    assert downloads._disposition('ä"1\\.dump') == "attachment; filename=\"__1_.dump\"; filename*=UTF-8''%C3%A4%221%5C.dump"


numbers = st.integers(0, len(PLAIN) + 3) | st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len(PLAIN) - 1, 10**30])
ranges = st.tuples(numbers, numbers).map(lambda both: f"{both[0]}-{both[1]}") | numbers.map("{}-".format) | numbers.map("-{}".format)


def expected(text: str) -> tuple[int, bytes]:
    """Status and bytes for a range, by Python's slices."""
    first, last = text.split("-")
    if not first:
        found = PLAIN[-int(last) :] if int(last) else b""
    elif last and int(last) < int(first):
        return 200, PLAIN
    else:
        found = PLAIN[int(first) : int(last) + 1 if last else None]
    return (206, found) if found else (416, b"")


@encryptions
async def test_any_range_is_what_a_slice_is(api: Api, database: models.Database, encrypted: bool) -> None:
    backup = await stored(database, [PLAIN], encrypted=encrypted)
    asked = set[str]()

    @hypothesis_settings(max_examples=80, deadline=None, database=None)
    @given(ranges)
    def collect(text: str) -> None:
        asked.add(text)

    collect()
    for text in sorted(asked):
        answer = await api.owner.get(path_of(backup), headers={"Range": f"bytes={text}"})
        status, content = expected(text)
        assert answer.status_code == status, text
        if status == 416:
            assert answer.headers["content-range"] == f"bytes */{len(PLAIN)}"
            assert answer.json()["error"]["code"] == "RANGE_NOT_SATISFIABLE"
            continue
        assert (answer.content == content, answer.headers["content-length"]) == (True, str(len(content))), text
        if status == 206:
            first, last, size = map(int, re.findall(r"\d+", answer.headers["content-range"]))
            assert (PLAIN[first : last + 1] == content, size) == (True, len(PLAIN)), text


@pytest.mark.parametrize(
    "text",
    ["", "x", "bytes", "bytes=", "bytes=-", "bytes=1", "bytes=a-b", "bytes=2-1", "items=0-1", "bytes=0-1,4-5", "bytes=٣-٤", "bytes=0--1"],
)
async def test_what_is_no_single_range_is_answered_with_all(api: Api, database: models.Database, text: str) -> None:
    backup = await stored(database, [b"0123456789"])
    answer = await api.owner.get(path_of(backup), headers={"Range": text.encode()})
    assert (answer.status_code, answer.content) == (200, b"0123456789")


async def test_a_range_holds_only_while_the_file_is_the_same(api: Api, database: models.Database) -> None:
    backup = await stored(database, [b"0123456789"])
    whole = await api.owner.get(path_of(backup))
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    for given_tag, status in ((tag, 206), (date, 206), (f"W/{tag}", 200), ('"other"', 200), ("Mon, 30 Dec 2024 10:04:06 GMT", 200)):
        answer = await api.owner.get(path_of(backup), headers={"Range": "bytes=2-4", "If-Range": given_tag})
        assert (answer.status_code, answer.content) == (status, b"234" if status == 206 else b"0123456789"), given_tag


async def test_what_the_client_has_is_not_sent_again(api: Api, database: models.Database) -> None:
    backup = await stored(database, [b"0123456789"])
    tag = (await api.owner.get(path_of(backup))).headers["etag"]
    for known in (tag, f'"a", W/{tag}', "*"):
        answer = await api.owner.get(path_of(backup), headers={"If-None-Match": known, "Range": "bytes=50-"})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert (answer.headers["etag"], answer.headers["cache-control"]) == (tag, "no-store")
    for unknown in ('"a"', "a", tag.strip('"')):
        answer = await api.owner.get(path_of(backup), headers={"If-None-Match": unknown})
        assert (answer.status_code, answer.content) == (200, b"0123456789"), unknown


async def test_only_a_developer_of_the_project_may_and_each_download_is_entered(api: Api, database: models.Database) -> None:
    backup = await stored(database, [PLAIN])
    path = path_of(backup)
    assert (await api.anonymous.get(path)).status_code == 401
    assert (await (await api.person()).get(path)).status_code == 404
    viewer = await some(api, database, "viewer")
    assert (await viewer.get(path)).status_code == 403
    developer = await some(api, database, "developer")
    assert (await developer.get(path)).status_code == 200
    seen, forbidden = (await entries(api, action="backups.download"))[:2]
    assert (seen["username"], seen["outcome"], seen["resourceType"]) == (developer.username, "success", "database")
    assert (seen["resourceId"], fields_of(seen)) == (str(database.id), {"backupId": str(backup.id)})
    assert (forbidden["username"], forbidden["outcome"]) == (viewer.username, "FORBIDDEN")


async def test_a_backup_is_found_under_its_own_database_only(api: Api, database: models.Database) -> None:
    backup = await stored(database, [PLAIN])
    other = await running(await models.Project.get(id=database.project_id), "other")
    assert (await api.owner.get(f"/databases/{other.id}/backups/{backup.id}/download")).status_code == 404
    await models.DatabaseBackup.filter(id=backup.id).update(deleted_at=FINISHED)
    assert (await api.owner.get(path_of(backup))).status_code == 404
    assert await models.AuditEntry.filter(action="backups.download").count() == 0


async def refused(api: Api, backup: models.DatabaseBackup) -> tuple[int, str, str | None]:
    answer = await api.owner.get(path_of(backup))
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["details"].get("reason")


@pytest.mark.parametrize("status", [each for each in TaskStatus if each is not TaskStatus.completed])
async def test_a_backup_that_is_not_complete_has_no_file(api: Api, database: models.Database, status: TaskStatus) -> None:
    backup = await stored(database, [PLAIN], status=status)
    assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_NOT_COMPLETED")
    assert await models.AuditEntry.filter(action="backups.download").count() == 0


async def test_a_file_that_is_gone_or_another_one_is_a_conflict(api: Api, database: models.Database, folder: Path) -> None:
    backup = await stored(database, [PLAIN])
    (file,) = kept(folder)
    file.write_bytes(PLAIN[:-1])
    assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_DAMAGED")
    file.unlink()
    assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_MISSING")
    await models.DatabaseBackup.filter(id=backup.id).update(object_name=None)
    assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_MISSING")


async def test_a_key_that_is_gone_is_told(api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = await stored(database, [PLAIN], encrypted=True)
    monkeypatch.setattr(schema.backup_files, "installation_keys", lambda: (b"k" * 32,))
    assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_KEY_MISSING")


async def test_what_was_changed_is_told_before_the_first_byte_and_cut_off_later(api: Api, database: models.Database, folder: Path) -> None:
    backup = await stored(database, [PLAIN], encrypted=True)
    (file,) = kept(folder)
    sealed = bytearray(file.read_bytes())
    sealed[-1] ^= 1
    file.write_bytes(sealed)
    answer = await api.owner.get(path_of(backup), headers={"Range": f"bytes=-{12_345}"})
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "BACKUP_DAMAGED")
    reading = Reading()
    await read(api, backup, reading)
    assert (reading.status, reading.size, reading.complete) == (200, 2 * CHUNK, False)


async def test_a_storage_that_is_away_is_unavailable(api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = await stored(database, [PLAIN])
    await models.DatabaseBackup.filter(id=backup.id).update(storage=StorageKind.s3)
    assert await refused(api, backup) == (503, "SERVICE_UNAVAILABLE", "STORAGE_NOT_CONFIGURED")
    away = {"bucket": "backups", "endpoint": f"http://{HOST}:{free_port(HOST, 0)}", "accessKeyId": "a", "secretAccessKey": "s"}
    monkeypatch.setitem(settings().__dict__, "backup_s3", described(json.dumps(away)))
    monkeypatch.setattr(schema.backup_files, "PATIENCE", 0.3)
    began = time.monotonic()
    assert await refused(api, backup) == (503, "SERVICE_UNAVAILABLE", "STORAGE_UNREACHABLE")
    assert time.monotonic() - began < SOON
    assert await models.AuditEntry.filter(action="backups.download").count() == 0


@encryptions
async def test_a_backup_of_a_bucket(
    api: Api, database: models.Database, s3: Server, encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = described(json.dumps(s3.settings(prefix=f"downloads-{encrypted}".lower())))
    monkeypatch.setitem(settings().__dict__, "backup_s3", bucket)
    backup = await stored(database, [PLAIN], encrypted=encrypted, kind=StorageKind.s3)
    assert (await api.owner.get(path_of(backup))).content == PLAIN
    answer = await api.owner.get(path_of(backup), headers={"Range": f"bytes={CHUNK - 5}-{CHUNK + 5}"})
    assert (answer.status_code, answer.content) == (206, PLAIN[CHUNK - 5 : CHUNK + 6])
    await models.DatabaseBackup.filter(id=backup.id).update(object_name="of/nothing.dump")
    assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_MISSING")


async def read(api: Api, backup: models.DatabaseBackup, reading: Reading, after: Callable[[], Any] = lambda: None) -> None:
    """Read a file as it comes; `after` is called after each piece, and who asks stays until the answer ends."""

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        reading.take(message)
        if message["type"] == "http.response.body":
            after()
        await asyncio.sleep(0)

    await application_of(api)(scope_of(api.owner.token, "GET", f"/api{path_of(backup)}"), receive, send)


def pieces(megabytes: int) -> Iterator[bytes]:
    """So many MiB, no two of which are the same."""
    return (number.to_bytes(8) * (MIB // 8) for number in range(megabytes))


@pytest.mark.parametrize(
    ("megabytes", "encrypted", "most"),
    [
        (30, False, 20),
        (80, True, 48),
        pytest.param(200, False, 20, marks=pytest.mark.full),
        pytest.param(200, True, 48, marks=pytest.mark.full),
    ],
)
async def test_a_large_file_takes_no_more_memory_than_a_few_pieces_of_it(
    api: Api, database: models.Database, megabytes: int, encrypted: bool, most: int
) -> None:
    backup = await stored(database, pieces(megabytes), encrypted=encrypted)
    before, reading = memory(), Reading()
    await read(api, backup, reading)
    assert (reading.status, reading.size, reading.complete) == (200, megabytes * MIB, True)
    assert reading.digest.hexdigest() == backup.checksum
    assert reading.most - before < most * MIB


def opened(folder: Path) -> list[Path]:
    """The files of a folder that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(each.readlink())
    return [each for each in found if each.is_relative_to(folder)]


async def closed(folder: Path) -> None:
    """Wait until nothing of a folder is open."""
    async with asyncio.timeout(SOON):
        while opened(folder):
            await asyncio.sleep(0.01)


async def test_a_gateway_that_stops_ends_downloads(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, drain, reading = await stored(database, pieces(20)), Drain(), Reading()
    monkeypatch.setattr(downloads, "drain", drain)
    streams = []
    await read(api, backup, reading, lambda: (streams.append(drain.streams), drain.end_streams()))
    assert (streams[0], reading.status, reading.complete) == (1, 200, False)
    assert reading.size < 20 * MIB
    await closed(folder)


@asynccontextmanager
async def slow_reader(server: str, token: str, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """Somebody who has asked for a file, and reads no more than they please."""
    address = urlsplit(server)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=64 * 1024)
    writer.write(f"GET /api{path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    try:
        yield reader
    finally:
        writer.transport.abort()


@pytest.mark.faults
async def test_a_gateway_ends_in_time_whoever_downloads(api: Api, stack: Stack, database: models.Database, folder: Path) -> None:
    backup = await stored(database, pieces(30))
    async with (
        gateways(stack, 1, DOKPLOY_BACKUP_DIRECTORY=str(folder)) as (process,),
        slow_reader(process.url, api.owner.token, path_of(backup)) as reader,
    ):
        began = time.monotonic()
        assert await process.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < GRACE
        size = 0
        while piece := await reader.read(MIB):
            size += len(piece)
        assert size < backup.size


async def test_no_more_are_downloaded_at_a_time_than_may(api: Api, database: models.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_places", asyncio.Semaphore(1))
    backup = await stored(database, pieces(3))
    path, beside = path_of(backup), list[Any]()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            beside.extend([await api.owner.get(path), await api.owner.call("HEAD", path)])

    await application_of(api)(scope_of(api.owner.token, "GET", f"/api{path}"), asyncio.Event().wait, send)
    refused, head = beside
    assert (refused.status_code, refused.json()["error"]["code"], head.status_code) == (503, "SERVICE_UNAVAILABLE", 200)
    assert int(refused.headers["Retry-After"]) > 0
    assert (await api.owner.get(path)).status_code == 200


async def test_what_fails_at_its_beginning_keeps_no_place(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_places", asyncio.Semaphore(1))
    backup = await stored(database, [PLAIN], encrypted=True)
    (file,) = kept(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + bytes(100) + whole[200:])
    for _ in range(2):
        assert await refused(api, backup) == (409, "CONFLICT", "BACKUP_DAMAGED")


async def test_whoever_takes_no_more_is_given_up(
    api: Api, database: models.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_places", asyncio.Semaphore(1))
    monkeypatch.setattr(downloads, "PATIENCE", 0.1)
    backup, taken = await stored(database, pieces(20)), 0

    async def send(message: Any) -> None:
        nonlocal taken
        taken += len(message.get("body", b""))
        if taken > 3 * MIB:
            await asyncio.Event().wait()

    async with asyncio.timeout(SOON):
        await application_of(api)(scope_of(api.owner.token, "GET", f"/api{path_of(backup)}"), asyncio.Event().wait, send)
    assert taken < 20 * MIB
    await closed(folder)
    assert not downloads._places.locked()


async def test_whoever_goes_away_leaves_nothing_open(api: Api, server: str, database: models.Database, folder: Path) -> None:
    backup = await stored(database, pieces(30))
    async with slow_reader(server, api.owner.token, path_of(backup)) as reader:
        await reader.readexactly(3 * MIB)
        assert opened(folder)
    await closed(folder)


async def test_slow_readers_and_a_slow_storage_hold_nobody_up(
    api: Api, server: str, database: models.Database, tell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, quickly = await stored(database, pieces(30)), Folder._read

    def slowly(self: Folder, name: str, start: int, end: int | None) -> Iterator[bytes]:
        for piece in quickly(self, name, start, end):
            time.sleep(STALL)
            yield piece

    monkeypatch.setattr(Folder, "_read", slowly)

    async def latest(client: httpx2.AsyncClient) -> float:
        """The 99th percentile of how long another request takes, in seconds."""
        taken = []
        for _ in range(150):
            began = time.monotonic()
            assert (await client.get("/users/me", headers=api.owner.headers)).status_code == 200
            taken.append(time.monotonic() - began)
        return statistics.quantiles(taken, n=100)[-1]

    async def dawdle(reader: asyncio.StreamReader) -> None:
        while await reader.read(64 * 1024):
            await asyncio.sleep(0.02)

    async with client_of(server) as client:
        await latest(client)
        alone = await latest(client)
        async with (
            slow_reader(server, api.owner.token, path_of(backup)) as first,
            slow_reader(server, api.owner.token, path_of(backup)) as second,
        ):
            reading = [asyncio.create_task(dawdle(each)) for each in (first, second)]
            meanwhile = await latest(client)
            assert not any(each.done() for each in reading)
            for each in reading:
                each.cancel()
            await asyncio.wait(reading)
    tell(f"p99 of another request: {alone * 1000:.1f} ms alone, {meanwhile * 1000:.1f} ms beside two slow downloads")
    assert meanwhile < max(alone, STALL / 20) * SLOWER
