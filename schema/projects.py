"""Projects: the chapter "Projects" of the specification."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry
from tortoise.transactions import in_transaction

import models
from schema.access import Role
from schema.application_inputs import ApplicationFilters, ApplicationSort
from schema.context import Context
from schema.database_inputs import DatabaseFilters, DatabaseSort
from schema.errors import Conflict, Forbidden
from schema.fields import Node, count, earliest, entity, entity_of, group, latest, one, page
from schema.held import held
from schema.inputs import Input
from schema.page import Page
from schema.resource import Resource
from schema.rules import Length, Pattern
from schema.teams import ProjectSort, Team
from schema.unique import unique
from schema.users import User

if TYPE_CHECKING:
    from schema.applications import Application
    from schema.databases import Database

Name = Annotated[str, Pattern(r"[A-Za-z0-9]+", "must be alphanumeric", 3, 50)]
Description = Annotated[str, Length(0, 2000)]
NAME_TAKEN = "A project of this name exists."


def _application() -> type:
    from schema.applications import Application

    return Application


def _deployment() -> type:
    from schema.deployments import Deployment

    return Deployment


def _database() -> type:
    from schema.databases import Database

    return Database


@strawberry.type
class ProjectStatistics:
    """How much there is in a project."""

    application_count: int = count(_application, "project_id")
    database_count: int = count(_database, "project_id")
    deployment_count: int = count(_deployment, "project_id")
    first_deployment_at: datetime | None = earliest(_deployment, "project_id")
    last_deployment_at: datetime | None = latest(_deployment, "project_id")


@entity(models.Project, scope="id")
class Project(Node):
    """A set of applications that belong together."""

    name: str
    description: str
    owner_id: strawberry.ID
    owner: User = one("owner_id")
    team_id: strawberry.ID | None
    team: Team | None = one("team_id")
    statistics: ProjectStatistics = group()
    applications: Page[Annotated["Application", strawberry.lazy("schema.applications")]] = page(
        "-created_at", fk="project_id", sort=ApplicationSort, filters=ApplicationFilters, search=True
    )
    databases: Page[Annotated["Database", strawberry.lazy("schema.databases")]] = page(
        "-created_at", fk="project_id", sort=DatabaseSort, filters=DatabaseFilters, search=True
    )
    created_at: datetime
    updated_at: datetime


projects = Resource("project", Project)

LINKS = ("self", "applications", "databases")
DETAIL = "id name description ownerId teamId statistics { applicationCount databaseCount deploymentCount } createdAt updatedAt"

list_ = projects.list(
    needs=Role.viewer,
    search=True,
    sort=ProjectSort,
    view="id name description ownerId teamId createdAt updatedAt",
    links=LINKS,
)

get = projects.get(needs=Role.viewer, view=DETAIL, links=LINKS)


@strawberry.pydantic.input
class CreateProjectInput(Input):
    """A new project."""

    name: Name
    description: Description = ""
    team_id: str | None = None


@projects.post(needs=Role.member, view="id name description ownerId teamId createdAt updatedAt", links=("self",))
async def create(ctx: Context, input: CreateProjectInput) -> models.Project:
    """Create a project; with a team it takes a developer of that team, without one an owner or admin (DECISIONS 15)."""
    if input.team_id is not None:
        await ctx.reference(Team, input.team_id, Role.developer, field="teamId")
    elif not ctx.operator:
        raise Forbidden("Only an owner or admin may create a project without a team.")
    project = models.Project(name=input.name, description=input.description, owner_id=ctx.caller.id, team_id=input.team_id)
    async with unique(NAME_TAKEN):
        await project.save()
    return project


@strawberry.pydantic.input
class UpdateProjectInput(Input):
    """What can be changed of a project; what is absent stays as it is."""

    name: strawberry.Maybe[Name] = None
    description: strawberry.Maybe[Description | None] = None
    team_id: strawberry.Maybe[str | None] = None


@projects.patch("/{id}", needs=Role.developer, view=DETAIL, links=LINKS)
async def update(ctx: Context, project: models.Project, input: UpdateProjectInput) -> models.Project:
    """Update a project; moving it to another team takes an admin on both sides."""
    changed: dict[str, object] = {}
    if input.name is not None:
        changed["name"] = input.name.value
    if input.description is not None:
        changed["description"] = input.description.value or ""
    if input.team_id is not None and input.team_id.value != (str(project.team_id) if project.team_id else None):
        changed["team_id"] = await _moved(ctx, project, input.team_id.value)
    async with unique(NAME_TAKEN), in_transaction():
        row = await held(project)
        await row.update_from_dict(changed).save(update_fields=[*changed, "updated_at"])
    return row


async def _moved(ctx: Context, project: models.Project, team_id: str | None) -> UUID | None:
    """The team that a project moves to, None for out of its team; it takes an admin here and there."""
    await ctx.fetch(entity_of(Project), str(project.id), Role.admin)
    if team_id is not None:
        team: models.Team = await ctx.reference(Team, team_id, Role.admin, field="teamId")
        return team.id
    if not ctx.operator:
        raise Forbidden("Only an owner or admin may take a project out of its team.")
    return None


@projects.delete("/{id}", needs=Role.admin)
async def delete(ctx: Context, project: models.Project) -> None:
    """Delete a project that holds nothing; its name is free at once, its row is kept for 30 days."""
    async with in_transaction():
        await models.Project.select_for_update().get(id=project.id)
        for model, what in ((models.Application, "applications"), (models.Database, "databases")):
            if await model.filter(project_id=project.id, deleted_at__isnull=True).exists():
                raise Conflict(f"The project still has {what}.", reason="NOT_EMPTY")
        await models.Project.filter(id=project.id).update(deleted_at=datetime.now(UTC))
