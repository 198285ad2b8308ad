"""The gateway as a process."""

import uvicorn

from gateway.app import application
from models.logs import configure

GRACE = 5
"""Seconds that open requests get when the gateway stops."""


def serve(host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    configure()
    uvicorn.run(
        application(),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
        ws_max_size=1024 * 1024,
    )
