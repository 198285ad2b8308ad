"""Making accounts, whichever way somebody comes in: the first one owns the installation (DECISIONS 14)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import models
from models.database import database, together
from models.settings import settings
from schema.errors import Forbidden


@asynccontextmanager
async def settled() -> AsyncIterator[None]:
    """A transaction in which nobody else makes accounts, makes or unmakes owners, or disables anybody."""
    async with together():
        await database().execute_query("select pg_advisory_xact_lock($1)", [models.OWNERS_LOCK])
        yield


async def opened(username: str, email: str, password_hash: str | None) -> models.User:
    """A new account, name and e-mail address in lower case; only inside of `settled`.

    Raises `Forbidden` while registration is closed, and `IntegrityError` when the name or the address is taken.
    """
    first = not await models.User.exists()
    if settings().registration == "closed" and not first:
        raise Forbidden("Registration is closed.")
    role = models.GlobalRole.owner if first else models.GlobalRole.member
    return await models.User.create(username=username, email=email, password_hash=password_hash, role=role)


async def owned() -> bool:
    """Whether there is an owner who may log in."""
    return await models.User.exists(role=models.GlobalRole.owner, disabled_at__isnull=True)
