"""WebSockets as uvicorn speaks them, made for thousands of them to each of which much is sent."""

import struct
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

TEXT: Final = 0x81
"""The first byte of a frame that is a whole text."""


class Socket(WebSocketsSansIOProtocol):
    """One socket: it does not keep the heads of its handshake, and its texts take a short way."""

    def start_keepalive(self) -> None:
        """Begin to ask whether the client is still there: the handshake is over."""
        super().start_keepalive()
        self.request.headers.clear()
        self.response.headers.clear()

    async def send(self, message: Any) -> None:
        """Send a text at once where nothing is in its way; uvicorn does everything else. Raises what it raises."""
        if message["type"] == "websocket.send" and self.conn.state is OPEN and self.writable.is_set() and not self.disconnected:
            text = message.get("text")
            if text is not None:
                data = text.encode()
                self.transport.write(_head(len(data)) + data)
                return
        await super().send(message)


def _head(length: int) -> bytes:
    """What comes before a text of so many bytes."""
    if length < 126:
        return bytes((TEXT, length))
    return struct.pack("!BBH", TEXT, 126, length) if length < 65536 else struct.pack("!BBQ", TEXT, 127, length)
