"""Files: what an operation answers with, or takes, as bytes and not as JSON. Only REST carries them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from tortoise.models import Model

Result = TypeVar("Result")

Chunks = AsyncIterator[bytes]
"""A body as it comes. Iterating raises `ApiError` for what cannot be taken, and whatever says that the client has gone."""

THREADS: Final = ThreadPoolExecutor(16, "files")
"""Where files are read, so that a storage that does not answer keeps nothing else waiting."""


@dataclass(frozen=True)
class Content:
    """The body of a request that is a file."""

    chunks: Chunks
    enter: Callable[[Model], Awaitable[None]]
    """Enters in the audit trail that it was taken, as a row; called in the transaction that stores this row."""


@dataclass(frozen=True)
class File:
    """A file whose bytes never change."""

    name: str
    size: int
    """Bytes."""
    checksum: str
    """SHA-256 in hexadecimal digits."""
    modified: datetime
    read: Callable[[int, int], Generator[bytes]]
    """The bytes from one place up to but without another, in pieces. It blocks, raises `ApiError`, and is closed when it is not read on."""
    media_type: str = "application/octet-stream"


async def beside(work: Callable[[], Result]) -> Result:
    """What something that blocks returns, done in a thread for files."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, work)
