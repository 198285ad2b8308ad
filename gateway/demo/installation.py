"""A whole installation for as long as a block lasts, as a child process: what `dokploy up` runs."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.embedded.children import last_lines

START_SECONDS = 600.0
"""The first start may have to install the Docker Engine."""
STOP_SECONDS = 60.0
_READY = "dokploy is up: "


class NotUp(Exception):
    """The installation did not come up."""


@asynccontextmanager
async def installation(data: Path) -> AsyncIterator[str]:
    """Run `dokploy up` on a free port, its log in `<data>.log`; gives the URL of its host. Raises `NotUp` with the end of the log."""
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "up", "--port", "0", "--data", str(data)),
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            url = await _url(process, log)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        finally:
            # Its servers are tied to it, and end with it.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _url(process: asyncio.subprocess.Process, log: Path) -> str:
    if process.stdout is None:
        raise NotUp
    async for line in process.stdout:
        text = line.decode().strip()
        if text.startswith(_READY):
            return text.removeprefix(_READY).partition(" ")[0]
    raise NotUp(f"The installation did not come up:\n{last_lines(log)}")
