"""Answers without an end of their own: server-sent events, and other frames that follow each other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gateway.drain import StreamEnded, drain
from gateway.unread import Receiver, Unread

SILENCE = 12.0
"""Seconds after which something is sent that says nothing: proxies close what is silent."""
COMMENT = b":\n\n"


class EventStream(StreamingResponse):
    """Frames as they come. When the gateway stops the answer ends as a whole one, after whole frames: its client goes on elsewhere."""

    def __init__(self, frames: AsyncGenerator[bytes], beat: bytes = COMMENT, media_type: str = "text/event-stream") -> None:
        self._frames, self._beating = frames, beating(frames, beat)
        super().__init__(self._beating, media_type=media_type, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a HEAD with nothing but the headers."""
        async with aclosing(self._frames), aclosing(self._beating):
            if scope["method"] != "HEAD":
                scope["untimed"] = True
                await super().__call__(scope, receive, send)
                return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b""})

    async def stream_response(self, send: Send) -> None:
        """Send what there is, until there is no more or the gateway stops. Raises `ClientDisconnect` when nobody reads it."""

        try:
            async with drain.stream(), Receiver() as receiver:

                async def looked_after(message: Message) -> None:
                    with receiver:
                        await send(message)

                await super().stream_response(looked_after)
                return
        except StreamEnded:
            pass
        except Unread:
            raise ClientDisconnect from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def beating(frames: AsyncGenerator[bytes], beat: bytes, silence: float = SILENCE) -> AsyncGenerator[bytes]:
    """The frames, and a beat after each so many seconds without one."""
    while True:
        coming = asyncio.ensure_future(anext(frames))
        try:
            while not coming.done():
                await asyncio.wait({coming}, timeout=silence)
                if not coming.done():
                    yield beat
            yield coming.result()
        except StopAsyncIteration:
            return
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
