"""Who asks, and what they may see: the one choke point through which tenants' rows are fetched (SECURITY, DECISIONS 5 and 15)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from tortoise.expressions import Q, Subquery
from tortoise.models import Model
from tortoise.queryset import QuerySet

import models
from models.database import fetch
from schema.access import OPERATORS, TEAM_ROLES, Role
from schema.errors import Forbidden, NotFound, Unauthorized, UnprocessableEntity
from schema.fields import Entity, Realm, columns_of, entity_of
from schema.inputs import uuid_of
from schema.names import api_name

ROLES = """
select 'team', team_id, role from membership where user_id = $1
union all
select 'project', p.id, m.role from membership m join project p on p.team_id = m.team_id
where m.user_id = $1 and p.owner_id <> $1 and p.deleted_at is null
union all
select 'project', id, 'admin' from project where owner_id = $1 and deleted_at is null
"""
"""Every team and project that somebody may see, and as what: of a project without a membership its owner is admin (DECISIONS 15)."""


class Seen(NamedTuple):
    """What a caller may see who does not see everything, and as what."""

    projects: list[UUID] = []  # noqa: RUF012 (never written to)
    teams: list[UUID] = []  # noqa: RUF012
    project_roles: Mapping[UUID, Role] = MappingProxyType({})
    team_roles: Mapping[UUID, Role] = MappingProxyType({})


class Caller(NamedTuple):
    """Whoever is logged in."""

    id: UUID
    role: models.GlobalRole
    tier: models.RateTier = models.RateTier.authenticated
    username: str = ""

    @classmethod
    def of(cls, user: models.User) -> "Caller":
        """Somebody as a caller."""
        return cls(user.id, user.role, user.tier, user.username)


@dataclass
class Context:
    """One request: the caller, and what was learned about them so far."""

    user: Caller | None = None
    session_id: UUID | None = None
    request_id: str = ""
    address: str = ""
    """Where the request came from."""
    changed: bool = False
    """Whether an operation has changed something for this request."""
    subject: Caller | None = None
    """Whoever has just logged in or registered: the answer shows them what they may see of themselves; the caller they are not."""
    _roles: dict[Realm, dict[UUID, Role]] = field(default_factory=dict)

    @property
    def caller(self) -> Caller:
        """Whoever is logged in. Raises `Unauthorized` when nobody is."""
        if self.user is None:
            raise Unauthorized
        return self.user

    @cached_property
    def operator(self) -> bool:
        """Whether the caller is the installation's owner or one of its admins, and so sees everything."""
        return self.user is not None and self.user.role in OPERATORS

    def again(self) -> "Context":
        """The same caller with nothing learned yet: for whoever looks again after a while."""
        return Context(self.user, self.session_id, self.request_id, self.address)

    async def roles(self, realm: Realm) -> dict[UUID, Role]:
        """The caller's role in each project, or team, that they may see; for an operator nothing is listed."""
        if self.user is None or self.operator:
            return {}
        if not self._roles:
            found: dict[Realm, dict[UUID, Role]] = {Realm.team: {}, Realm.project: {}}
            for kind, key, role in await fetch(ROLES, self.user.id):
                found[Realm[kind]][key] = TEAM_ROLES[models.TeamRole(role)]
            self._roles = found
        return self._roles[realm]

    async def seen(self) -> Seen:
        """What the caller may see, unless that is everything."""
        projects, teams = await self.roles(Realm.project), await self.roles(Realm.team)
        return Seen(list(projects), list(teams), projects, teams)

    def forget(self) -> None:
        """Learn the roles again: something was changed."""
        self._roles = {}

    async def visible(self, entity: Entity) -> QuerySet[Any]:
        """The rows of an entity that the caller may see."""
        query: QuerySet[Any] = entity.model.filter(**entity.living)
        if self.operator:
            return query
        if entity.realm is Realm.installation:
            return query.filter(id__isnull=True)
        if entity.realm is Realm.person:
            fellows = models.Membership.filter(team_id__in=list(await self.roles(Realm.team))).values_list("user_id", flat=True)
            return query.filter(Q(id=self.caller.id) | Q(id__in=Subquery(fellows)))
        return query.filter(**{f"{entity.scope}__in": list(await self.roles(entity.realm))})

    async def role_for(self, entity: Entity, row: Model) -> Role:
        """The caller's role where the row lives."""
        if self.operator:
            return Role.owner if self.caller.role is models.GlobalRole.owner else Role.operator
        roles = await self.roles(entity.realm) if entity.realm in (Realm.project, Realm.team) else {}
        return roles.get(getattr(row, entity.scope), Role.anonymous)

    async def fetch(self, entity: Entity, id: str, needs: Role) -> Any:
        """A row named in a path.

        Raises `NotFound` when it does not exist, is malformed or may not be seen: the same answer; `Forbidden` when the role is too low.
        """
        row = await self._seen(entity, id)
        if row is None:
            raise NotFound.row(entity.title, entity.singular, id)
        if await self.role_for(entity, row) < needs:
            raise Forbidden
        return row

    async def part(self, parent: Entity, row: Model, entity: Entity, name: str, id: str) -> Any:
        """A row that belongs to another one, by the column that a parameter of the path names, or by its id.

        Raises `NotFound` when the other row has no such part.
        """
        column = next((each for each in columns_of(entity.model) if api_name(each) == name), "id")
        key = uuid_of(id)
        rows = entity.model.filter(**{f"{parent.singular}_id": row.pk, column: key}, **entity.living)
        found = await rows.first() if key else None
        if found is None:
            raise NotFound.row(entity.title, entity.singular, id)
        return found

    async def reference(self, type_: type, id: str, needs: Role, *, field: str) -> Any:
        """A row named in a body.

        Raises `UnprocessableEntity` with the field when it does not exist or may not be seen, `Forbidden` when the role is too low.
        """
        entity = entity_of(type_)
        row = await self._seen(entity, id)
        if row is None:
            raise UnprocessableEntity(f"There is no {entity.singular} with this id.", field=field)
        if await self.role_for(entity, row) < needs:
            raise Forbidden
        return row

    def require(self, needs: Role) -> None:
        """Raise `Unauthorized` or `Forbidden` when an operation that belongs to no row is out of the caller's reach."""
        if needs == Role.anonymous:
            return
        role = self.caller.role
        if (needs >= Role.operator and role not in OPERATORS) or (needs is Role.owner and role is not models.GlobalRole.owner):
            raise Forbidden

    async def _seen(self, entity: Entity, id: str) -> Any:
        key = uuid_of(id)
        return None if key is None else await (await self.visible(entity)).get_or_none(id=key)
