"""Reading a request's body without trusting its size."""

from starlette.requests import Request

from schema.errors import PayloadTooLarge, UnsupportedMediaType

LARGEST = 1024 * 1024
"""Bytes."""


async def capped(request: Request, largest: int) -> bytes:
    """The body of a request. Raises `PayloadTooLarge` before reading further than so many bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > largest:
        raise too_large(largest)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            raise too_large(largest)
        chunks.append(chunk)
    return b"".join(chunks)


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
    if body and media_types(request) != ["application/json"]:
        raise UnsupportedMediaType
    return body
