"""Rows that are about to be changed."""

from typing import TypeVar

from tortoise.models import Model

from schema.errors import NotFound

M = TypeVar("M", bound=Model)


async def held(row: M) -> M:
    """A row as it is now, which nobody else changes until the transaction under way ends.

    Raises `NotFound` when it has been deleted since it was fetched.
    """
    living = {"deleted_at__isnull": True} if "deleted_at" in row._meta.fields_map else {}
    found = await type(row).filter(id=row.pk, **living).select_for_update().first()
    if found is None:
        raise NotFound
    return found
