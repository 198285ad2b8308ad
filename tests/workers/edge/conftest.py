"""An edge of its own for a test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.embedded.up import free_port
from tests.workers.edge.test_serving import HOST, Place, caddy_running
from workers.edge.caddy_config import Node, Routes, configuration
from workers.edge.dns import serving


@pytest.fixture
async def place(short_tmp: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as resources:
        found: dict[str, tuple[str, ...]] = {}
        resolver = await resources.enter_async_context(serving(lambda application: found.get(application, ()), HOST, 0))
        caddy = await resources.enter_async_context(caddy_running(short_tmp))
        node = Node(f"{HOST}:{resolver}")
        place = Place(free_port(HOST, 0), free_port("127.0.0.2", 0), caddy, node, found)
        await caddy.load(configuration(node, Routes((place.route(),))))
        yield place
