"""What may be there once only: the database decides, and whoever comes second is told so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tortoise.exceptions import IntegrityError

from schema.errors import Conflict


@asynccontextmanager
async def unique(message: str, reason: str = "NAME_TAKEN") -> AsyncIterator[None]:
    """Raise `Conflict` with a message and a reason when what is stored inside is there already."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(message, reason=reason) from error
