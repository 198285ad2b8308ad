"""Rows that are about to be changed."""

from typing import TypeVar

from tortoise.models import Model

from schema.errors import NotFound

M = TypeVar("M", bound=Model)


async def held(row: M) -> M:
    """A row as it is now, which nobody else changes until the transaction under way ends.

    Raises `NotFound` when it has been deleted since it was fetched.
    """
    found = await type(row).filter(id=row.pk, deleted_at__isnull=True).select_for_update().first()
    if found is None:
        raise NotFound
    return found
