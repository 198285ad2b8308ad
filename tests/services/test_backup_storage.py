"""Backups in a bucket, of a real server that checks signatures."""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx2
import pytest

from gateway.embedded.up import free_port
from models import StorageKind
from models.backup_storage import NoObject, StorageRefused, StorageUnreachable, storage
from models.backup_storage.bucket import PART, Bucket
from models.s3 import s3 as described
from models.sealed import seal, unseal, unsealed_range
from models.settings import settings
from tests.services.s3 import HOST, SECRET, WRITER, Server, s3

__all__ = ["s3"]
pytestmark = pytest.mark.services

MIB = 1 << 20
_numbers = itertools.count(1)


@pytest.fixture
def bucket(s3: Server) -> Bucket:
    """The bucket as somebody sees it who keeps objects below a prefix of their own."""
    return s3.bucket(prefix=f"Place/{next(_numbers)}")


def memory() -> int:
    """Bytes that this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_an_object_is_read_as_it_was_written(bucket: Bucket) -> None:
    assert bucket.write("app/one.dump", [b"abc", b"", b"defg"]) == 7
    assert bucket.size("app/one.dump") == 7
    assert b"".join(bucket.read("app/one.dump")) == b"abcdefg"


def test_an_empty_object_is_one(bucket: Bucket) -> None:
    assert bucket.write("empty", []) == 0
    assert bucket.size("empty") == 0
    assert list(bucket.read("empty")) == list(bucket.read("empty", 0, 5)) == list(bucket.read("empty", 3)) == []


@pytest.mark.parametrize("start", [0, 1, 6, 7, 100])
@pytest.mark.parametrize("end", [None, 0, 1, 5, 7, 100])
def test_a_range_holds_what_there_is_of_it(bucket: Bucket, start: int, end: int | None) -> None:
    bucket.write("ranged", [b"abcdefg"])
    assert b"".join(bucket.read("ranged", start, end)) == b"abcdefg"[start:end]


def test_a_name_is_written_again_in_place_of_what_it_named(bucket: Bucket) -> None:
    bucket.write("again", [b"first"])
    bucket.write("again", [b"second"])
    assert b"".join(bucket.read("again")) == b"second"


def test_names_are_listed_by_their_beginning_and_below_the_prefix_only(s3: Server, bucket: Bucket) -> None:
    for name in ("b/2", "a/1", "a/12", "a2"):
        bucket.write(name, [b"x"])
    assert bucket.names() == ["a/1", "a/12", "a2", "b/2"]
    assert bucket.names("a") == ["a/1", "a/12", "a2"]
    assert bucket.names("a/1") == ["a/1", "a/12"]
    assert bucket.names("a/12/") == bucket.names("c") == []
    assert "ready" in s3.bucket().names()


def test_an_absent_object_is_missing_but_may_be_deleted(bucket: Bucket) -> None:
    bucket.write("gone", [b"x"])
    bucket.delete("gone")
    bucket.delete("gone")
    for ask in (lambda: bucket.size("gone"), lambda: list(bucket.read("gone")), lambda: list(bucket.read("gone", 0, 0))):
        with pytest.raises(NoObject) as caught:
            ask()
        assert caught.value.code == "BACKUP_MISSING"


@pytest.mark.parametrize("before", [0, 1, PART + 1, 3 * PART])
def test_what_the_chunks_raise_is_raised_and_leaves_no_object(bucket: Bucket, before: int) -> None:
    error = FileNotFoundError("of the one who dumps")

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * min(MIB, before)] * -(-before // MIB)
        raise error

    with pytest.raises(FileNotFoundError) as caught:
        bucket.write("broken", chunks())
    assert caught.value is error
    assert bucket.names() == []


def test_an_upload_that_broke_off_is_aborted(s3: Server, bucket: Bucket) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * (2 * PART)
        assert len(uploads(s3)) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bucket.write("broken", chunks())
    assert uploads(s3) == []


def uploads(s3: Server) -> list[str]:
    """The uploads that are neither completed nor aborted, as the server's own file system shows them."""
    listed = httpx2.get(f"{s3.filer}/buckets/backups/.uploads/", headers={"Accept": "application/json"})
    return [each["FullPath"] for each in listed.json()["Entries"] or []] if listed.status_code == 200 else []


def test_a_backup_passes_through_little_memory(bucket: Bucket) -> None:
    size, peak = 160, 0

    def chunks() -> Iterator[bytes]:
        nonlocal peak
        for number in range(size * 4):
            peak = max(peak, memory())
            yield bytes((number % 256,)) * (MIB // 4)

    bucket.write("small", [b"x" * PART])
    before = memory()
    assert bucket.write("large", chunks()) == size * MIB
    assert peak - before < size * MIB / 2

    def most(pieces: Iterable[bytes]) -> int:
        return max(memory() for _ in pieces)

    before = memory()
    assert most(bucket.read("large")) - before < size * MIB / 2


def test_a_sealed_backup_is_read_at_any_place(bucket: Bucket) -> None:
    key, plain = bytes(32), bytes(range(256)) * 4096 * 3
    size = bucket.write("sealed", seal([plain], key))
    assert b"".join(unseal(bucket.read("sealed"), [key])) == plain

    def read(offset: int, length: int) -> bytes:
        return b"".join(bucket.read("sealed", offset, offset + length))

    assert b"".join(unsealed_range(read, size, MIB - 3, MIB + 3, [key])) == plain[MIB - 3 : MIB + 3]


@pytest.mark.parametrize(
    "changes", [{"secretAccessKey": "wrong"}, {"accessKeyId": "nobody"}, {"bucket": "of-nobody"}], ids=["secret", "identity", "bucket"]
)
def test_a_storage_that_refuses_says_so_and_no_secret(s3: Server, changes: dict[str, str]) -> None:
    bucket = s3.bucket(**changes)
    for ask in everything(bucket):
        with pytest.raises(StorageRefused) as caught:
            ask()
        assert caught.value.code == "STORAGE_REFUSED"
        said = str(caught.value).removeprefix(str(StorageRefused()).removesuffix("."))
        assert not [each for each in (SECRET, WRITER, *changes.values()) if each in said]


def test_a_storage_where_nobody_listens_is_unreachable_within_seconds(s3: Server) -> None:
    write, read, *_ = everything(s3.bucket(endpoint=f"http://{HOST}:{free_port(HOST, 0)}"))
    for ask in (write, read):
        began = time.monotonic()
        with pytest.raises(StorageUnreachable) as caught:
            ask()
        assert caught.value.code == "STORAGE_UNREACHABLE"
        assert time.monotonic() - began < 15


def everything(bucket: Bucket) -> list[Callable[[], object]]:
    return [
        lambda: bucket.write("x", [b"x"]),
        lambda: list(bucket.read("x")),
        lambda: list(bucket.read("x", 1, 2)),
        lambda: bucket.size("x"),
        lambda: bucket.delete("x"),
        lambda: bucket.names(),
    ]


def test_plain_http_is_not_spoken_with_an_https_endpoint(s3: Server) -> None:
    with pytest.raises(StorageUnreachable):
        s3.bucket(endpoint=s3.endpoint.replace("http", "https")).size("ready")


def test_the_bucket_is_that_of_the_settings_whatever_the_environment_says(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_BUCKET"):
        monkeypatch.setenv(name, "another")
    for name in ("AWS_SKIP_SIGNATURE", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setattr(settings(), "backup_s3", described(json.dumps(s3.settings(prefix="environment"))))
    found = storage(StorageKind.s3)
    found.write("x", [b"x"])
    assert found.names() == ["x"]
    assert found.remove_partial(0) == 0
