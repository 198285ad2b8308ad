"""The gateway as a process, which stops without a request being lost."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from gateway.app import Application
from gateway.drain import drain
from gateway.event_stream import SILENCE
from gateway.socket_protocol import Socket
from models import garbage
from models.logs import configure

KEEP_ALIVE = 75
"""Seconds that a connection may be idle: longer than clients and proxies keep one, so that they end it and no request meets its end."""
GRACE = 5.0
"""Seconds that open requests get when the gateway stops."""
LINGER = 1.0
"""Seconds in which an idle connection may be used once more: its client may be about to, and is told by the answer not to do it again."""
STREAM_GRACE = 2.0
"""Seconds in which streams end; what was asked for over a socket is answered first."""
CLOSE_GRACE = 0.5
"""Seconds that a client gets to confirm that its socket is closed."""
NOT_STARTED = 3
"""The exit status of a gateway that could not start."""
LEAVE_GRACE = 1.5
"""Seconds in which the connections to Postgres and Redis are given up."""
_POLL = 0.02


class Server(uvicorn.Server):
    """Uvicorn with an end of its own: its own closes idle connections at once, sockets before their answers, and cuts streams off."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal does not wait for anybody. Uvicorn would end the process by the signal, after all of this."""
        self.force_exit, self.should_exit = self.should_exit, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what is asked, end the streams, close what is left and end the process, each within its bounds."""
        connections, tasks = self.server_state.connections, self.server_state.tasks
        drain.begin()
        await self._stop_accepting()
        lingered = time.monotonic() + LINGER
        await self._until(lambda: len(tasks) <= drain.streams and (len(connections) <= len(tasks) or time.monotonic() > lingered), GRACE)
        drain.end_streams()
        await self._until(lambda: len(tasks) == 0, STREAM_GRACE)
        await self._until(lambda: len(connections) == 0, CLOSE_GRACE)
        for connection in list(connections):
            connection.shutdown()
        for task in list(tasks):
            task.cancel()
        await self._until(lambda: len(tasks) == len(connections) == 0, CLOSE_GRACE)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_GRACE):
                await self.lifespan.shutdown()
        # Python would wait for threads that still ring for a Redis which says nothing; whom they ring for, the reconciler rings for.
        os._exit(0)

    async def _stop_accepting(self) -> None:
        """Close the listeners. The kernel resets what is connected and not accepted: nothing may come between the last and the close."""
        loop, last = asyncio.get_running_loop(), list[socket.socket]()
        for server in self.servers:
            descriptors = [os.dup(listener.fileno()) for listener in server.sockets]
            server.close()
            for descriptor in descriptors:
                with socket.socket(fileno=descriptor) as listener, suppress(OSError):
                    listener.setblocking(False)
                    while True:
                        last.append(listener.accept()[0])
        for accepted in last:
            await loop.connect_accepted_socket(self._protocol, accepted)

    def _protocol(self) -> asyncio.Protocol:
        """What speaks HTTP on a connection, as uvicorn makes it."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, for so many seconds at most."""
        deadline = time.monotonic() + seconds
        while not (holds() or self.force_exit or time.monotonic() > deadline):  # noqa: ASYNC110 (uvicorn tells nobody when they end)
            await asyncio.sleep(_POLL)


def serve(host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    configure()
    config = uvicorn.Config(
        Application(),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws=Socket,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws_max_size=1024 * 1024,
        ws_per_message_deflate=False,
        ws_ping_interval=SILENCE,
        timeout_keep_alive=KEEP_ALIVE,
    )
    server = Server(config)
    garbage.set_aside()
    server.run()
    if not server.started:
        sys.exit(NOT_STARTED)
