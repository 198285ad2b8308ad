"""Reading a request's body without trusting its size."""

import asyncio

from starlette.requests import Request

from models.settings import settings
from schema.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from schema.files import Chunks

LARGEST = 1024 * 1024
"""Bytes."""
JSON, OCTETS = "application/json", "application/octet-stream"
SILENCE = 30.0
"""Seconds of waiting in which `LEAST` of a file has to come, or its end, or else it is given up."""
LEAST = 32 * 1024
"""Bytes."""


async def capped(request: Request, largest: int) -> bytes:
    """The body of a request. Raises `PayloadTooLarge` before reading further than so many bytes."""
    _check_length(request, largest)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise too_large(largest)
        chunks.append(chunk)
    return b"".join(chunks)


def _check_length(request: Request, largest: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > largest:
        raise too_large(largest)


def too_large(largest: int) -> PayloadTooLarge:
    """The refusal of a body of more bytes than are taken."""
    return PayloadTooLarge(f"The request body is larger than {largest // LARGEST} MiB.")


def media_types(request: Request) -> list[str]:
    """What a request says its body is."""
    return [kind.partition(";")[0].strip().lower() for kind in request.headers.getlist("content-type")]


async def json_body(request: Request) -> bytes:
    """The body of a request that may carry JSON; empty when there is none.

    Raises `PayloadTooLarge` before reading further than the limit, `UnsupportedMediaType` for a body that says it is no JSON.
    """
    if not request.headers.get("content-length") and "transfer-encoding" not in request.headers:
        return b""
    body = await capped(request, LARGEST)
    if body:
        _check_media_type(request, JSON)
    return body


def _check_media_type(request: Request, wanted: str) -> None:
    if media_types(request) != [wanted]:
        raise UnsupportedMediaType(f"The request body must be {wanted}.")


def content(request: Request) -> Chunks:
    """The body of a request that is a file, as it comes.

    Raises `InvalidInput` when there is none, `UnsupportedMediaType`, and `PayloadTooLarge` when it says so of itself; while it comes
    `PayloadTooLarge`, `InvalidInput` when it is empty or comes too slowly, and `ClientDisconnect`.
    """
    if not request.headers.get("content-length", "").strip("0") and "transfer-encoding" not in request.headers:
        raise _empty()
    _check_media_type(request, OCTETS)
    largest = settings().upload_limit * LARGEST
    _check_length(request, largest)
    return _coming(request, largest)


def _empty() -> InvalidInput:
    return InvalidInput("The request body is empty.")


async def _coming(request: Request, largest: int) -> Chunks:
    loop, chunks, size = asyncio.get_running_loop(), request.stream(), 0
    left, come = SILENCE, 0
    while True:
        began = loop.time()
        try:
            async with asyncio.timeout(left):
                chunk = await anext(chunks)
        except TimeoutError:
            raise InvalidInput("The request body comes too slowly.") from None
        if not chunk:
            break
        size += len(chunk)
        if size > largest:
            raise too_large(largest)
        left, come = left - (loop.time() - began), come + len(chunk)
        if come >= LEAST:
            left, come = SILENCE, 0
        yield chunk
    if not size:
        raise _empty()
