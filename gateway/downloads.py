"""Answers that are files: read a piece at a time, in threads, as fast as the client takes them."""

import asyncio
from asyncio import wrap_future
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.drain import StreamEnded, drain
from gateway.ranges import Span, date_of, is_known, tag_of, wanted
from schema.errors import ApiError, ServiceUnavailable
from schema.files import THREADS, File

log = structlog.get_logger()

MOST: Final = 8
"""Files that one process sends at a time: each holds up to 24 MiB while it is decrypted."""
PATIENCE = 120.0
"""Seconds in which a client has to take a piece, of 1 MiB at most, or else the file is cut off."""

_places = asyncio.Semaphore(MOST)


class TooManyDownloads(ServiceUnavailable):
    """As many files are downloaded as may: ask again later."""


async def downloaded(request: Request, file: File) -> Response:
    """The answer to a request for a file, or for a part of it.

    Raises `RangeNotSatisfiable`, `TooManyDownloads`, and what reading the first piece raises.
    """
    lasting = {"ETag": tag_of(file), "Last-Modified": date_of(file), "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    if is_known(request.headers, file):
        return Response(status_code=304, headers=lasting)
    part = wanted(request.headers, file) if request.method == "GET" else None
    span = part or Span(0, file.size)
    headers = lasting | {"Content-Length": str(span.end - span.start), "Content-Disposition": _disposition(file.name)}
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size}"
    if request.method == "HEAD":
        return Response(headers=headers, media_type=file.media_type)
    if _places.locked():
        raise TooManyDownloads
    await _places.acquire()
    try:
        pieces = ahead(file.read(span.start, span.end))
        first = await anext(pieces, b"")
    except BaseException:
        _places.release()
        raise
    return Download(first, pieces, span, 200 if part is None else 206, headers, file.media_type)


def _disposition(name: str) -> str:
    """The name for every client: in ASCII, and as it is (RFC 6266)."""
    plain = "".join(each if " " <= each <= "~" and each not in '"\\%' else "_" for each in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def ahead(pieces: Generator[bytes]) -> AsyncGenerator[bytes]:
    """The pieces of something that blocks, one of which is read while the one before it is on its way."""
    coming = THREADS.submit(next, pieces, b"")
    try:
        while piece := await wrap_future(coming):
            coming = THREADS.submit(next, pieces, b"")
            yield piece
    finally:
        coming.cancel()
        coming.add_done_callback(lambda _: pieces.close())


class Download(StreamingResponse):
    """A file on its way, with a place of its own until it ends. What cannot be sent to its end is cut off: its length tells the client."""

    def __init__(
        self, first: bytes, pieces: AsyncGenerator[bytes], span: Span, status: int, headers: dict[str, str], media_type: str
    ) -> None:
        self._first, self._pieces, self._left = first, pieces, span.end - span.start
        super().__init__(pieces, status, headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, until the client has all of it, takes no more or goes away."""
        try:
            async with aclosing(self._pieces):
                await super().__call__(scope, receive, send)
        finally:
            _places.release()

    async def stream_response(self, send: Send) -> None:
        """Send the pieces, until there are no more, the client takes none or the gateway stops."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        why = "SHORT"
        try:
            async with drain.stream():
                await self._send_piece(send, self._first)
                async for piece in self._pieces:
                    await self._send_piece(send, piece)
        except StreamEnded:
            why = "STOPPED"
        except TimeoutError:
            why = "NOT_TAKEN"
        except ApiError as error:
            why = error.code
        if self._left:
            log.warning("rest.download_ended", reason=why, left=self._left)

    async def _send_piece(self, send: Send, piece: bytes) -> None:
        self._left -= len(piece)
        async with asyncio.timeout(PATIENCE):
            await send({"type": "http.response.body", "body": piece, "more_body": self._left > 0})
