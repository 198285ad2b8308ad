"""Backups whose files lie in a storage, and a client who reads an answer as it comes."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

import models
from models import StorageKind
from models.backup_storage import storage
from models.sealed import installation_keys, seal
from models.settings import settings
from tests.services.conftest import Api
from tests.services.place import backed_up, running

MIB = 1 << 20
FINISHED = datetime(2024, 12, 30, 10, 4, 5, 678_900, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that backups are kept in."""
    monkeypatch.setitem(settings().__dict__, "backup_directory", tmp_path)
    return tmp_path


@pytest.fixture
async def database(api: Api, folder: Path) -> models.Database:
    """One that runs, with nothing under way."""
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, "orders", type=models.DatabaseType.postgresql, version="16")


def kept(folder: Path) -> list[Path]:
    """The files of a folder, those too that are being written."""
    return [each for each in folder.rglob("*") if each.is_file()]


async def stored(
    database: models.Database, chunks: Iterable[bytes], *, encrypted: bool = False, kind: StorageKind = StorageKind.local, **columns: Any
) -> models.DatabaseBackup:
    """A complete backup that holds these bytes."""
    digest, size = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    name = f"of/{database.id}.dump"
    there = storage(kind).write(name, seal(counted(), installation_keys()[0]) if encrypted else counted())
    about = {"storage": kind, "encrypted": encrypted, "object_name": name, "file_name": "orders.dump", "finished_at": FINISHED}
    found = {"size": size, "stored_size": there, "checksum": digest.hexdigest()}
    return await backed_up(database, **(about | found | columns))


def path_of(backup: models.DatabaseBackup) -> str:
    return f"/databases/{backup.database_id}/backups/{backup.id}/download"


def memory() -> int:
    """Bytes that this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@dataclass
class Reading:
    """What has come of an answer, past httpx, which keeps all of it."""

    status: int = 0
    size: int = 0
    complete: bool = False
    digest: Any = field(default_factory=hashlib.sha256)
    most: int = 0
    """Bytes that this process held at most."""

    def take(self, message: Any) -> None:
        """Count a message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.size += len(message["body"])
        self.digest.update(message["body"])
        self.complete = not message.get("more_body", False)
        self.most = max(self.most, memory())


def scope_of(token: str, method: str, path: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> dict[str, Any]:
    """A request as a server hands it to the application."""
    own = [(b"host", b"test"), (b"authorization", f"Bearer {token}".encode()), *headers]
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query, "headers": own, "client": ("127.0.0.1", 1),
        "server": ("test", 80),
    }  # fmt: skip


def application_of(api: Api) -> Any:
    """The application that a client asks in this process."""
    return api.client._transport.app  # type: ignore[attr-defined]


@asynccontextmanager
async def client_of(server: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the gateway behind a real server."""
    url = server.replace("ws://", "http://").removesuffix("/graphql")
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        yield client
