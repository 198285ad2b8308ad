"""How operations are read off their declarations: what GraphQL calls the ids of a path."""

from collections.abc import AsyncIterator

import pytest
import strawberry

import models
from schema.access import Role
from schema.context import Context
from schema.resource import Resource
from schema.surface import Bound, surface


@strawberry.type
class Step:
    """Something to follow."""

    name: str


async def follow(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> AsyncIterator[Step]:
    """Follow."""
    yield Step(name="dumping")


async def cancel(ctx: Context, database: models.Database, backup: models.DatabaseBackup) -> models.DatabaseBackup:
    """Cancel."""
    return backup


async def all_of_it(ctx: Context) -> AsyncIterator[Step]:
    """Follow everything."""
    yield Step(name="dumping")


def parts() -> Resource:
    return Resource("part", path="/databases/{id}/parts", about="Parts.")


def test_in_a_subscription_the_first_id_is_called_after_its_row_whatever_the_chapter_is_called() -> None:
    operation = parts().stream("/{backupId}/steps", needs=Role.viewer, view="name")(follow)
    assert operation.row_arguments == ("databaseId", "backupId")


def test_elsewhere_the_first_id_is_called_id() -> None:
    operation = parts().post("/{backupId}/cancel", needs=Role.viewer, view="id")(cancel)
    assert operation.row_arguments == ("id", "backupId")


def test_without_an_id_in_the_path_there_is_none() -> None:
    operation = Resource("part", about="Parts.").stream("/all", needs=Role.member, view="name")(all_of_it)
    assert operation.row_arguments == ()


@pytest.mark.parametrize("bound", surface().operations, ids=lambda bound: bound.operation.id)
def test_no_two_ids_of_an_operation_have_one_name(bound: Bound) -> None:
    assert len(set(bound.operation.row_arguments)) == len(bound.operation.ids)
