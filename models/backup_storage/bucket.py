"""Backups in a bucket of a service that speaks S3."""

import functools
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError, GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from models.backup_storage.contract import (
    PIECE,
    NoObject,
    Source,
    Storage,
    StorageFailed,
    StorageFull,
    StorageRefused,
    StorageUnreachable,
)
from models.s3 import S3

if TYPE_CHECKING:  # these are in its stubs only
    from obstore import GetOptions
    from obstore.store import S3Credential

PART: Final = 16 << 20
"""Bytes of each part of an upload. S3 takes 10,000 parts: the largest backup has 156 GiB."""
PARTS_AT_ONCE: Final = 2

_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_FULL: Final = {"EntityTooLarge", "QuotaExceeded", "StorageFull", "XMinioStorageFull"}
_PASSING: Final = {408, 429}
_UNSATISFIABLE: Final = 416


class Bucket(Storage):
    """A bucket. An upload that a killed process has left behind is not seen here: a rule of the bucket is to end those."""

    def __init__(self, s3: S3) -> None:
        self._store = _store(s3)

    def remove_partial(self, older_than_seconds: float) -> int:
        """Nothing: see above."""
        return 0

    def _write(self, name: str, source: Source) -> None:
        obstore.put(self._store, name, source, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def _read(self, name: str, start: int, end: int | None) -> Iterator[bytes]:
        if end is not None and end <= start:
            self._size(name)
            return
        wanted: GetOptions = {} if not start and end is None else {"range": {"offset": start} if end is None else (start, end)}
        try:
            found = obstore.get(self._store, name, options=wanted)
        except GenericError as error:
            if _status(error) == _UNSATISFIABLE:
                return
            raise
        yield from map(bytes, found.stream(PIECE))

    def _size(self, name: str) -> int:
        try:
            return obstore.head(self._store, name)["size"]
        except FileNotFoundError:
            return obstore.get(self._store, name).meta["size"]  # the answer to HEAD does not say whether the bucket is missing

    def _delete(self, name: str) -> None:
        obstore.delete(self._store, name)

    def _names(self, folder: str) -> Iterator[str]:
        for page in obstore.list(self._store, folder or None):
            yield from (each["path"] for each in page)

    def _failure(self, error: OSError | BaseError, *, writing: bool = False) -> StorageFailed:
        # Answers quote what was signed, so nothing of them is told but their code.
        status, found = _status(error), _CODE.search(str(error))
        code = found[1] if found else ""
        if isinstance(error, FileNotFoundError) and code != "NoSuchBucket" and not writing:
            return NoObject()
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError | FileNotFoundError) or "redirect" in str(error)
        if code in _FULL or status == 507:
            failure: type[StorageFailed] = StorageFull
        else:
            failure = StorageRefused if refused or (300 <= status < 500 and status not in _PASSING) else StorageUnreachable
        return failure(code or (f"HTTP {status}" if status else ""))


def _status(error: Exception) -> int:
    """The HTTP status that an error is about; 0 is none."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


@functools.cache
def _store(s3: S3) -> S3Store:
    def credential() -> "S3Credential":
        return {
            "access_key_id": s3.access_key_id,
            "secret_access_key": s3.secret_access_key.get_secret_value(),
            "token": None,
            "expires_at": None,
        }

    return S3Store(
        prefix=s3.prefix or None,
        # Whatever is not given here is looked for in `AWS_*`: an endpoint of this name comes before all others, and the credentials of
        # a provider before a session's token.
        config={
            "bucket": s3.bucket,
            "aws_endpoint_url_s3": s3.url,
            "region": s3.region,
            "virtual_hosted_style_request": not s3.path_style,
            "disable_bulk_delete": True,
            "skip_signature": False,
        },
        client_options={
            "allow_http": s3.url.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(minutes=2),
            "timeout": timedelta(days=7),  # of a whole answer, which may be a whole backup
        },
        retry_config={
            "max_retries": 4,
            "retry_timeout": timedelta(minutes=4),
            "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 3},
        },
        credential_provider=credential,
    )
