"""Server-sent events as an answer."""

from contextlib import suppress

from starlette.responses import StreamingResponse
from starlette.types import Send

from gateway.drain import StreamEnded, drain


class EventStream(StreamingResponse):
    """Events as they come. When the gateway stops the answer ends as a whole one, after whole events: its client goes on elsewhere."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        """Send what there is, until there is no more or the gateway stops."""
        with suppress(StreamEnded):
            async with drain.stream():
                await super().stream_response(send)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
