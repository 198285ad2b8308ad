"""The tiers: no services; embedded Postgres and Valkey; the real Docker Engine; faults; outside clients. Under CI nothing is skipped."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from gateway.embedded.stack import Stack

ENGINE_SOCKET = "unix:///var/run/docker.sock"


def pytest_configure(config: pytest.Config) -> None:
    os.environ["DOKPLOY_RATE_LIMITS"] = "off"
    config.addinivalue_line("markers", "services: needs embedded Postgres and Valkey")
    config.addinivalue_line("markers", "docker: needs a real Docker Engine")
    config.addinivalue_line("markers", "faults: breaks something around an installation of its own and looks what becomes of it")
    config.addinivalue_line("markers", "clients: runs clients and judges from outside this project")
    config.addinivalue_line("markers", "full: a long form, only with --full")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the long forms")


def _engine_answers() -> bool:
    """Whether something listens on the engine's socket; an engine that DOCKER_HOST names by another kind of address is taken to."""
    scheme, _, path = (os.environ.get("DOCKER_HOST") or ENGINE_SOCKET).partition("://")
    if scheme != "unix":
        return True
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        long = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        names = item.fixturenames if isinstance(item, pytest.Function) else ()
        if "stack" in names or "api" in names:
            item.add_marker("services")
    if os.environ.get("CI") == "true" or _engine_answers():
        return
    for item in items:
        if item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.skip(reason="NO DOCKER ENGINE: this tier did not run"))


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="dk-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], None]]:
    """Say what was measured, so that it shows among the results."""

    def say(sentence: str) -> None:
        with capsys.disabled():
            sys.stderr.write(f"\n  {sentence}")

    yield say


async def _hasty(database_url: str) -> None:
    """Have Postgres not wait for the disk, which no test takes away: each of them begins with empty tables, and those are files."""
    from models.database import credentials

    connection = await asyncpg.connect(**credentials(database_url) | {"user": "postgres", "database": "postgres"})
    await connection.execute("alter system set fsync = off")
    await connection.execute("select pg_reload_conf()")
    await connection.close()


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """Real Postgres and Valkey with an up-to-date schema, and this process configured to use them."""
    from models import secrets, valkey
    from models.database import migrate
    from models.settings import settings

    path = Path(tempfile.mkdtemp(prefix="dk-stack-"))
    async with Stack(path) as running:
        os.environ.update(running.environment)
        settings.cache_clear()
        await migrate()
        await _hasty(settings().database_url)
        secrets.cipher()  # before a test points `data` elsewhere: processes of their own read the keys of this directory
        yield running
        await valkey.close()
    await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


@pytest.fixture(scope="session")
async def gateway(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    """A running gateway in this process."""
    from gateway.app import Application

    app = Application()
    async with app.lifespan():
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client
