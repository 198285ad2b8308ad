"""Reading a request's body without trusting its size."""

from starlette.requests import Request

from schema.errors import PayloadTooLarge, UnsupportedMediaType

LARGEST = 1024 * 1024
"""Bytes."""


async def json_body(request: Request) -> bytes:
    """The body of a request that may carry JSON; empty when there is none.

    Raises `PayloadTooLarge` before reading further than the limit, `UnsupportedMediaType` for a body that says it is no JSON.
    """
    length = request.headers.get("content-length", "")
    if not length and "transfer-encoding" not in request.headers:
        return b""
    if length.isdecimal() and int(length) > LARGEST:
        raise PayloadTooLarge
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST:
            raise PayloadTooLarge
        chunks.append(chunk)
    body = b"".join(chunks)
    kinds = [kind.partition(";")[0].strip().lower() for kind in request.headers.getlist("content-type")]
    if body and kinds != ["application/json"]:
        raise UnsupportedMediaType
    return body
