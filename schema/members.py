"""Members: who belongs to a team, and as what, of the chapter "Users & Teams" of the specification."""

from datetime import datetime

import strawberry
from tortoise.transactions import in_transaction

import models
from schema.access import Role
from schema.context import Context
from schema.errors import Conflict, NotFound, UnprocessableEntity
from schema.fields import Node, Realm, entity, one
from schema.inputs import Input, uuid_of
from schema.resource import Resource
from schema.teams import Team, locked, teams
from schema.users import User


@entity(models.Membership, scope="team_id", realm=Realm.team)
class Member(Node):
    """Somebody's place in a team."""

    team_id: strawberry.ID
    team: Team = one("team_id")
    user_id: strawberry.ID
    user: User = one("user_id")
    role: models.TeamRole
    created_at: datetime


members = Resource("member", Member, path="/teams/{id}/members")

VIEW = "id teamId userId role user { id username } createdAt"
LINKS = {"team": "teams.get"}

of_team = teams.related("members", needs=Role.viewer, view=VIEW, links=LINKS)


@strawberry.pydantic.input
class AddMemberInput(Input):
    """A new member of a team."""

    user_id: str
    role: models.TeamRole


@members.post(needs=Role.admin, view=VIEW, links=LINKS)
async def add(ctx: Context, team: models.Team, input: AddMemberInput) -> models.Membership:
    """Add a member to a team: any user who may log in."""
    async with in_transaction():
        row = await locked(team)
        key = uuid_of(input.user_id)
        user = await models.User.select_for_update().get_or_none(id=key, disabled_at__isnull=True) if key else None
        if user is None:
            raise UnprocessableEntity("There is no active user with this id.", field="userId")
        if await models.Membership.exists(team_id=row.id, user_id=user.id):
            raise Conflict("The user is a member already.", reason="ALREADY_MEMBER")
        return await models.Membership.create(team_id=row.id, user_id=user.id, role=input.role)


@strawberry.pydantic.input
class UpdateMemberInput(Input):
    """What can be changed of a membership."""

    role: models.TeamRole


@members.patch("/{userId}", needs=Role.admin, view=VIEW, links=LINKS)
async def update(ctx: Context, team: models.Team, member: models.Membership, input: UpdateMemberInput) -> models.Membership:
    """Change a member's role; it counts from the next request on."""
    if not await models.Membership.filter(id=member.id).update(role=input.role):
        raise NotFound.row("Member", "member", str(member.user_id))
    return member


@members.delete("/{userId}", needs=Role.admin)
async def remove(ctx: Context, team: models.Team, member: models.Membership) -> None:
    """Remove a member from a team; what the team owns they see no longer."""
    if not await models.Membership.filter(id=member.id).delete():
        raise NotFound.row("Member", "member", str(member.user_id))
