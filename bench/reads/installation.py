"""Embedded Postgres with the product's schema, for as long as a block lasts."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.embedded.stack import Stack
from models.database import migrate
from models.settings import settings


@asynccontextmanager
async def installed() -> AsyncIterator[Path]:
    """Start the servers in a temporary directory, which is given, and let this process and its children find them."""
    directory = Path(tempfile.mkdtemp(prefix="dokploy-bench-"))
    try:
        async with Stack(directory / "stack") as stack:
            os.environ.update(stack.environment | {"DOKPLOY_RATE_LIMITS": "off"})
            settings.cache_clear()
            await migrate()
            yield directory
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
