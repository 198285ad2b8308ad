"""Backups in a folder, and how a storage is configured and fails."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from models import StorageKind
from models.backup_storage import NoObject, NoStorage, StorageFailed, StorageFull, StorageRefused, StorageUnreachable, storage
from models.backup_storage.bucket import Bucket
from models.backup_storage.contract import PIECE
from models.backup_storage.folder import RESERVE, Folder
from models.s3 import s3
from models.settings import Settings, settings

BUCKET = {"bucket": "backups", "endpoint": "https://s3.example:9000", "accessKeyId": "AKID", "secretAccessKey": "hidden"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "backups"


@pytest.fixture
def folder(root: Path) -> Folder:
    return Folder(root)


def files(root: Path) -> list[str]:
    """Every file there is, also those that are no objects."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_an_object_is_read_as_it_was_written(folder: Folder) -> None:
    assert folder.write("app/one.dump", [b"abc", b"", b"defg"]) == 7
    assert folder.size("app/one.dump") == 7
    assert b"".join(folder.read("app/one.dump")) == b"abcdefg"


def test_an_empty_object_is_one(folder: Folder) -> None:
    assert folder.write("empty", []) == folder.size("empty") == 0
    assert list(folder.read("empty")) == []


@pytest.mark.parametrize("start", [0, 1, 6, 7, 100])
@pytest.mark.parametrize("end", [None, 0, 1, 5, 7, 100])
def test_a_range_holds_what_there_is_of_it(folder: Folder, start: int, end: int | None) -> None:
    folder.write("ranged", [b"abcdefg"])
    assert b"".join(folder.read("ranged", start, end)) == b"abcdefg"[start:end]


def test_a_large_object_is_read_in_pieces(folder: Folder) -> None:
    folder.write("large", [bytes(PIECE)] * 3 + [b"x"])
    assert [len(piece) for piece in folder.read("large")] == [PIECE] * 3 + [1]
    assert [len(piece) for piece in folder.read("large", 1, 2 * PIECE)] == [PIECE, PIECE - 1]


def test_only_the_owner_may_read_backups_whatever_the_umask(root: Path, folder: Folder) -> None:
    before = os.umask(0)
    try:
        folder.write("app/deep/one", [b"x"])
    finally:
        os.umask(before)
    modes = {path.relative_to(root).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert modes == {".": 0o700, "app": 0o700, "app/deep": 0o700, "app/deep/one": 0o600}


def test_an_object_and_the_folders_that_list_it_are_on_the_disk(root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    folder.write("app/one", [b"x"])
    drafts = [path for path in synced if path.name.endswith(".partial")]
    assert [path.parent for path in drafts] == [root / "app"]
    assert [path for path in synced if path not in drafts] == [root.parent.parent, root.parent, root, root / "app"]


def test_a_name_is_what_it_was_until_all_is_written(folder: Folder) -> None:
    folder.write("one", [b"first"])

    def chunks() -> Iterator[bytes]:
        for chunk in (b"x" * PIECE, b"second"):
            yield chunk
            assert folder.names() == ["one"]
            assert b"".join(folder.read("one")) == b"first"

    folder.write("one", chunks())
    assert b"".join(folder.read("one")) == b"x" * PIECE + b"second"


@pytest.mark.parametrize("error", [ValueError("x"), FileNotFoundError("x"), OSError(errno.ENOSPC, "x"), NoObject(), KeyboardInterrupt()])
def test_what_the_chunks_raise_is_raised_and_leaves_nothing(root: Path, folder: Folder, error: BaseException) -> None:
    cause = error.__cause__ = ZeroDivisionError()

    def chunks() -> Iterator[bytes]:
        yield bytes(PIECE)
        raise error

    with pytest.raises(type(error)) as caught:
        folder.write("app/broken", chunks())
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert files(root) == folder.names() == []


def test_what_the_chunks_raise_is_raised_also_when_the_disk_is_full(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch)

    def chunks() -> Iterator[bytes]:
        yield b"little enough to be written late"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        folder.write("broken", chunks())


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def open_full(path: Path, flags: int, mode: int = 0o777) -> int:
        return opened("/dev/full", os.O_WRONLY) if path.name.endswith(".partial") else opened(path, flags, mode)

    monkeypatch.setattr(os, "open", open_full)


def test_a_disk_that_is_full_is_told(root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch)
    for chunk in (b"x", bytes(3 * PIECE)):
        with pytest.raises(StorageFull, match="no room left") as caught:
            folder.write("one", [chunk])
        assert caught.value.code == "STORAGE_FULL"
    assert files(root) == []


def test_a_backup_ends_before_its_disk_is_full(root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [RESERVE + 1, RESERVE, RESERVE - 1]

    def told(descriptor: int) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=left.pop(0), f_frsize=1)

    monkeypatch.setattr(os, "fstatvfs", told)
    folder.write("one", [b"x", b"y"])
    with pytest.raises(StorageFull):
        folder.write("two", [b"x", b"y"])
    assert files(root) == ["one"]


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.EDQUOT, StorageFull),
        (errno.EACCES, StorageRefused),
        (errno.EROFS, StorageRefused),
        (errno.EIO, StorageUnreachable),
        (errno.ENOENT, StorageUnreachable),
    ],
    ids=errno.errorcode.get,
)
def test_a_write_that_fails_leaves_nothing(
    root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch, number: int, failure: type[StorageFailed]
) -> None:
    root.mkdir(parents=True)

    def fail(descriptor: int) -> None:
        raise OSError(number, "x", "/a/secret/path")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(failure) as caught:
        folder.write("one", [b"x"])
    assert os.strerror(number) in str(caught.value)
    assert "/a/secret" not in str(caught.value)
    assert files(root) == []


def test_a_name_below_that_of_an_object_cannot_be_written(root: Path, folder: Folder) -> None:
    folder.write("a", [b"x"])
    with pytest.raises(StorageUnreachable):
        folder.write("a/b", [b"x"])
    folder.write("b/c", [b"x"])
    with pytest.raises(StorageUnreachable):
        folder.write("b", [b"x"])
    assert files(root) == ["a", "b/c"]


@pytest.mark.parametrize("name", ["gone", "app/gone", "app", "app/one/gone"])
def test_an_absent_object_is_missing_but_may_be_deleted(folder: Folder, name: str) -> None:
    for ask in (lambda: folder.size(name), lambda: list(folder.read(name)), lambda: list(folder.read(name, 0, 0))):
        with pytest.raises(NoObject, match="not in its storage") as caught:
            ask()
        assert caught.value.code == "BACKUP_MISSING"
    folder.write("app/one", [b"x"])
    with pytest.raises(NoObject):
        folder.size(name)
    folder.delete("app/one")
    folder.delete("app/one")
    assert folder.names() == []


def test_names_are_listed_by_their_beginning(root: Path, folder: Folder) -> None:
    assert folder.names() == folder.names("a/") == []
    for name in ("b/2", "a/1", "a/12", "a2"):
        folder.write(name, [b"x"])
    (root / "Not one.txt").touch()
    (root / "a" / ".hidden").touch()
    assert folder.names() == ["a/1", "a/12", "a2", "b/2"]
    assert folder.names("a") == ["a/1", "a/12", "a2"]
    assert folder.names("a/1") == ["a/1", "a/12"]
    assert folder.names("a/12/") == folder.names("c") == folder.names(".hidden") == []


NO_NAMES = ["", "/a", "a/", "a//b", "../a", "a/../b", "a..b", ".a", "a/.b", "a/-b", "A", "a b", "a\n", "a\0", "ä", "a" * 256]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused(root: Path, folder: Folder, name: str) -> None:
    for ask in (
        lambda: folder.write(name, [b"x"]),
        lambda: list(folder.read(name)),
        lambda: folder.size(name),
        lambda: folder.delete(name),
    ):
        with pytest.raises(ValueError, match="no name of a backup"):
            ask()
    assert not root.exists()


@pytest.mark.parametrize("prefix", ["../", "/", "a/../../", "./"])
def test_a_prefix_leads_nowhere_else(folder: Folder, prefix: str) -> None:
    with pytest.raises(ValueError, match="no name of a backup"):
        folder.names(f"{prefix}etc/")


WRITE_FOREVER = """
import sys, time
from pathlib import Path
from models.backup_storage.folder import Folder

def chunks():
    yield bytes(1 << 20)
    print("written", flush=True)
    time.sleep(60)

Folder(Path(sys.argv[1])).write("app/one", chunks())
"""


def test_what_a_killed_process_leaves_is_no_object_and_is_removed(root: Path, folder: Folder) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(root)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert len(files(root)) == 1
    assert folder.names() == []
    assert folder.remove_partial(3600) == 0
    folder.write("app/two", [b"x"])
    assert folder.remove_partial(0) == 1
    assert files(root) == folder.names() == ["app/two"]


def test_the_folder_is_below_the_data_unless_another_is_given(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "data", root.parent)
    storage(StorageKind.local).write("one", [b"x"])
    assert files(root.parent) == ["backups/one"]
    monkeypatch.setattr(settings(), "backup_directory", root.parent / "elsewhere")
    storage(StorageKind.local).write("two", [b"x"])
    assert files(root.parent) == ["backups/one", "elsewhere/two"]


def test_there_is_no_bucket_unless_one_is_configured() -> None:
    with pytest.raises(NoStorage, match="No bucket") as caught:
        storage(StorageKind.s3)
    assert isinstance(caught.value, StorageFailed)
    assert caught.value.code == "STORAGE_NOT_CONFIGURED"


def test_the_settings_of_backups_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Settings()
    assert (found.backup_storage, found.backup_directory, found.backup_s3, found.backup_encryption) == ("local", None, None, False)
    for name, value in (("STORAGE", "s3"), ("DIRECTORY", ""), ("S3", " "), ("ENCRYPTION", "true")):
        monkeypatch.setenv(f"DOKPLOY_BACKUP_{name}", value)
    found = Settings()
    assert (found.backup_storage, found.backup_directory, found.backup_s3, found.backup_encryption) == ("s3", None, None, True)


def test_a_bucket_is_described_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_BACKUP_S3", json.dumps(BUCKET | {"prefix": "Panel/one"}))
    bucket = Settings().backup_s3
    assert bucket is not None
    assert (bucket.url, bucket.region, bucket.prefix) == ("https://s3.example:9000", "us-east-1", "Panel/one")
    assert bucket.secret_access_key.get_secret_value() == "hidden"
    assert "hidden" not in repr(bucket)


@pytest.mark.parametrize(
    ("change", "url"),
    [
        ({"endpoint": "", "region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com"),
        ({"endpoint": "http://minio:9000/"}, "http://minio:9000"),
        ({"pathStyle": False}, "https://backups.s3.example:9000"),
    ],
)
def test_a_bucket_is_asked_at_its_endpoint(change: dict[str, object], url: str) -> None:
    bucket = s3(json.dumps(BUCKET | change))
    assert bucket is not None
    assert bucket.url == url


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bucket": "No"}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"endpoint": "s3.example"}, "endpoint: .*must be an origin"),
        ({"endpoint": "https://s3.example/path"}, "endpoint: .*must be an origin"),
        ({"endpoint": "https://me:hidden@s3.example"}, "endpoint: .*must be an origin"),
        ({"accessKeyId": ""}, "accessKeyId"),
        ({"secretAccessKey": ""}, "secretAccessKey"),
        ({"prefix": "/a"}, "prefix"),
        ({"prefix": "a/../b"}, "prefix"),
        ({"pathStyle": "no"}, "pathStyle"),
        ({"secretKey": "hidden"}, "secretKey"),
    ],
)
def test_a_bucket_that_makes_no_sense_is_refused_without_showing_its_secret(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], words: str
) -> None:
    monkeypatch.setenv("DOKPLOY_BACKUP_S3", json.dumps(BUCKET | change))
    with pytest.raises(ValueError, match=words) as caught:
        Settings()
    assert "hidden" not in str(caught.value)


class Answers(BaseHTTPRequestHandler):
    """Answers every request with what the test says, and quotes the request as Amazon does."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    code: ClassVar[str] = ""
    missing: ClassVar[int] = 0

    def answer(self) -> None:
        said = f"<Error><Code>{self.code}</Code><StringToSign>{self.headers['Authorization']}</StringToSign></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(said) + self.missing))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Sat, 28 Nov 2026 17:00:00 GMT")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(said)
        self.close_connection = True

    do_GET = do_PUT = do_POST = answer  # noqa: N815 - the server looks for these names

    def log_message(self, *said: object) -> None: ...


@pytest.fixture(scope="module")
def pretended() -> Iterator[Bucket]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    found = s3(json.dumps(BUCKET | {"endpoint": f"http://127.0.0.1:{server.server_port}"}))
    assert found is not None
    yield Bucket(found)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (301, "PermanentRedirect", StorageRefused),
        (400, "AuthorizationHeaderMalformed", StorageRefused),
        (401, "Unauthorized", StorageRefused),
        (403, "AccessDenied", StorageRefused),
        (404, "NoSuchBucket", StorageRefused),
        (403, "QuotaExceeded", StorageFull),
        (507, "XMinioStorageFull", StorageFull),
        (503, "SlowDown", StorageUnreachable),
    ],
)
def test_an_answer_of_a_service_is_told_by_its_code_and_nothing_that_it_quotes(
    pretended: Bucket, monkeypatch: pytest.MonkeyPatch, status: int, code: str, failure: type[StorageFailed]
) -> None:
    monkeypatch.setattr(Answers, "status", status)
    monkeypatch.setattr(Answers, "code", code)
    with pytest.raises(failure) as caught:
        pretended.write("one", [b"x"])
    assert "AKID" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_answer_that_breaks_off_is_no_end(pretended: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "missing", 100)
    with pytest.raises(StorageUnreachable):
        list(pretended.read("one"))
