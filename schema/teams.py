"""Teams: the people who share projects, of the chapter "Users & Teams" of the specification."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from tortoise.transactions import in_transaction

import models
from schema.access import Role
from schema.context import Context
from schema.errors import Conflict, NotFound
from schema.fields import Node, Realm, count, entity, page
from schema.inputs import Input
from schema.page import Page, sorting
from schema.resource import Resource
from schema.rules import BLANK, Length, Pattern
from schema.unique import unique

if TYPE_CHECKING:
    from schema.members import Member
    from schema.projects import Project

Name = Annotated[str, Pattern(rf"[^{BLANK}](?:[^\x00-\x1f]*[^{BLANK}])?", "may not begin or end with a space", 1, 50)]
Description = Annotated[str, Length(0, 2000)]
NAME_TAKEN = "A team of this name exists."


def _member() -> type:
    from schema.members import Member

    return Member


def _project() -> type:
    from schema.projects import Project

    return Project


MemberSort = sorting("member", "created_at")
ProjectSort = sorting("project", "created_at", "updated_at", "name")


class MemberFilters:
    """What members can be filtered by."""

    user_id: UUID
    role: models.TeamRole


@entity(models.Team, scope="id", realm=Realm.team)
class Team(Node):
    """People who share projects."""

    name: str
    description: str
    member_count: int = count(_member, "team_id")
    project_count: int = count(_project, "team_id")
    members: Page[Annotated["Member", strawberry.lazy("schema.members")]] = page(
        "-created_at", fk="team_id", sort=MemberSort, filters=MemberFilters
    )
    projects: Page[Annotated["Project", strawberry.lazy("schema.projects")]] = page(
        "-created_at", fk="team_id", sort=ProjectSort, search=True
    )
    created_at: datetime
    updated_at: datetime


teams = Resource("team", Team)

LINKS = {"self": "teams.get", "members": "teams.members"}
DETAIL = "id name description memberCount projectCount createdAt updatedAt"

list_ = teams.list(needs=Role.viewer, search=True, sort=sorting("team", "created_at", "updated_at", "name"), view=DETAIL, links=LINKS)

get = teams.get(needs=Role.viewer, view=DETAIL, links=LINKS)


@strawberry.pydantic.input
class CreateTeamInput(Input):
    """A new team."""

    name: Name
    description: Description = ""


@teams.post(needs=Role.operator, view=DETAIL, links=LINKS)
async def create(ctx: Context, input: CreateTeamInput) -> models.Team:
    """Create a team; it has no members yet."""
    team = models.Team(name=input.name, description=input.description)
    async with unique(NAME_TAKEN):
        await team.save()
    return team


@strawberry.pydantic.input
class UpdateTeamInput(Input):
    """What can be changed of a team; what is absent stays as it is."""

    name: strawberry.Maybe[Name] = None
    description: strawberry.Maybe[Description | None] = None


@teams.patch("/{id}", needs=Role.admin, view=DETAIL, links=LINKS)
async def update(ctx: Context, team: models.Team, input: UpdateTeamInput) -> models.Team:
    """Update a team."""
    changed: dict[str, str] = {}
    if input.name is not None:
        changed["name"] = input.name.value
    if input.description is not None:
        changed["description"] = input.description.value or ""
    async with unique(NAME_TAKEN), in_transaction():
        row = await locked(team)
        await row.update_from_dict(changed).save(update_fields=[*changed, "updated_at"])
    return row


@teams.delete("/{id}", needs=Role.admin)
async def delete(ctx: Context, team: models.Team) -> None:
    """Delete a team that has no projects; its members stay users."""
    async with in_transaction():
        row = await locked(team)
        if await models.Project.filter(team_id=row.id, deleted_at__isnull=True).exists():
            raise Conflict("The team still has projects.", reason="NOT_EMPTY")
        await models.Project.filter(team_id=row.id).update(team_id=None)
        await row.delete()


async def locked(team: models.Team) -> models.Team:
    """The team as it is now, until the transaction ends. Raises `NotFound` when it has just been deleted."""
    row = await models.Team.select_for_update().get_or_none(id=team.id)
    if row is None:
        raise NotFound.row("Team", "team", str(team.id))
    return row
