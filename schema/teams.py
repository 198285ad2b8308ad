"""Teams: the people who share projects."""

from datetime import datetime
from uuid import UUID

import strawberry

import models
from schema.context import Context
from schema.fields import Node, Realm, entity


@entity(models.Team, scope="id", realm=Realm.team)
class Team(Node):
    """People who share projects."""

    name: str
    description: str
    created_at: datetime


@strawberry.type
class TeamMembership:
    """A team that somebody belongs to, and as what."""

    id: strawberry.ID
    name: str
    role: models.TeamRole


async def memberships(context: Context, users: list[tuple[UUID]]) -> list[list[TeamMembership]]:
    """The teams of each user, by name, as far as the caller belongs to them too."""
    found: dict[UUID, list[TeamMembership]] = {user: [] for (user,) in users}
    rows = models.Membership.filter(user_id__in=list(found)).select_related("team").order_by("team__name")
    if not context.operator:
        rows = rows.filter(team_id__in=list(await context.roles(Realm.team)))
    for row in await rows:
        found[row.user_id].append(TeamMembership(id=strawberry.ID(str(row.team_id)), name=row.team.name, role=row.role))
    return [found[user] for (user,) in users]
