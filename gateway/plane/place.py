"""Which database is meant: that of DOKPLOY_DATABASE_URL, or `up`'s own, running or not."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from gateway.embedded.directory import AlreadyRunning
from gateway.embedded.postgres import running_url
from gateway.embedded.stack import Stack
from gateway.plane.errors import NoInstallation
from models.database import credentials
from models.settings import settings

_NO_VALKEY: Final = "redis://nowhere"


@asynccontextmanager
async def database(*, make: bool = False) -> AsyncIterator[str]:
    """The URL of the database. `up`'s own is started for as long as this lasts unless `up` runs; where there is none one is made if so.

    Raises `NoInstallation`, `EmbeddedError` and `OSError`.
    """
    if given := os.environ.get("DOKPLOY_DATABASE_URL"):
        try:
            credentials(given)
        except ValueError as error:
            raise NoInstallation(str(error)) from None
        yield given
        return
    data = settings().data
    if not make and not (data / "postgres").exists():
        raise NoInstallation(f"There is no installation in {data}: name its directory in --data, or its database in DOKPLOY_DATABASE_URL.")
    async with AsyncExitStack() as exit_stack:
        try:
            url = (await exit_stack.enter_async_context(Stack(data, redis_url=_NO_VALKEY))).database_url
        except AlreadyRunning:
            url = running_url(data) or ""
            if not url:
                raise NoInstallation(f"What runs on {data} has its database elsewhere: name it in DOKPLOY_DATABASE_URL.") from None
        yield url


def keys_place() -> str:
    """Where the keys are looked for, as part of a sentence."""
    return "of DOKPLOY_SECRET_KEYS" if settings().secret_keys else f"in {settings().data / 'keys'}"
