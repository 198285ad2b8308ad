"""Users: the chapter "Users & Teams" of the specification, as far as it is about people: oneself, and, for owners, everybody."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from pydantic import AfterValidator, ConfigDict
from tortoise.transactions import in_transaction

import models
from models import passwords
from schema.access import Role
from schema.accounts import owned, settled
from schema.context import Context
from schema.errors import Conflict, Forbidden, NotFound
from schema.fields import Node, Realm, computed, entity
from schema.inputs import Input, refuse
from schema.page import sorting
from schema.resource import Resource
from schema.rules import BLANK, Length, Pattern
from schema.unique import unique

Username = Annotated[str, Pattern(r"[A-Za-z0-9_.-]+", "may hold letters, digits, '_', '.' and '-'", 3, 32)]
Email = Annotated[
    str,
    AfterValidator(str.lower),
    Pattern(rf"[^@{BLANK}]+@[^@.{BLANK}]+(\.[^@.{BLANK}]+)*", "must be an e-mail address", 3, 254),
]
"""In lower case, as it is stored and compared."""
Password = Annotated[str, Length(10, 128)]


def _roles(role: models.GlobalRole) -> list[models.GlobalRole]:
    return [role]


@strawberry.type
class TeamMembership:
    """A team that somebody belongs to, and as what."""

    id: strawberry.ID
    name: str
    role: models.TeamRole


async def _teams(context: Context, users: list[tuple[UUID]]) -> list[list[TeamMembership]]:
    """The teams of each user, by name, as far as the caller belongs to them too."""
    found: dict[UUID, list[TeamMembership]] = {user: [] for (user,) in users}
    rows = models.Membership.filter(user_id__in=list(found)).select_related("team").order_by("team__name")
    if not context.operator:
        rows = rows.filter(team_id__in=list(await context.roles(Realm.team)))
    for row in await rows:
        found[row.user_id].append(TeamMembership(id=strawberry.ID(str(row.team_id)), name=row.team.name, role=row.role))
    return [found[user] for (user,) in users]


async def _private(context: Context, rows: list[tuple[UUID, Any]]) -> list[Any]:
    """What is shown to the person it is about and to operators only."""
    own = {each.id for each in (context.user, context.subject) if each}
    return [value if context.operator or id in own else None for id, value in rows]


async def _disabled(context: Context, rows: list[tuple[UUID, datetime | None]]) -> list[bool | None]:
    return await _private(context, [(id, since is not None) for id, since in rows])


@entity(models.User, scope="id", realm=Realm.person)
class User(Node):
    """Somebody who can log in. Of others e-mail address, tier and whether they may log in are null, and teams are those in common."""

    username: str
    email: str | None = computed(_private, "id", "email", batch=True)
    roles: list[models.GlobalRole] = computed(_roles, "role")
    tier: models.RateTier | None = computed(_private, "id", "tier", batch=True)
    disabled: bool | None = computed(_disabled, "id", "disabled_at", batch=True)
    teams: list[TeamMembership] = computed(_teams, "id", batch=True)
    created_at: datetime


own = Resource("", plural="users", path="/users")
users = Resource("user", User, about="People who can log in: oneself, and for operators everybody.")

PROFILE = "id username email roles tier teams { id name role } createdAt"
DETAIL = "id username email roles tier disabled teams { id name role } createdAt"


@own.query("/me", needs=Role.member, view=PROFILE)
async def me(ctx: Context) -> models.User:
    """Get the current user's profile."""
    return await models.User.get(id=ctx.caller.id)


@strawberry.pydantic.input
class UpdateMeInput(Input):
    """What somebody may change of their own account; a new password takes the current one."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"password": ["currentPassword"]}})

    email: strawberry.Maybe[Email] = None
    password: strawberry.Maybe[Password] = None
    current_password: strawberry.Maybe[str] = None


async def _know_password(user_id: UUID, current: strawberry.Some[str] | None) -> None:
    """Refuse whoever does not give the current password."""
    if current is None:
        refuse("currentPassword", "required", "is required to change the password")
    stored = await models.User.get(id=user_id)
    if not await passwords.verify(stored.password_hash, current.value):
        raise Forbidden("The current password is wrong.")


@own.patch("/me", needs=Role.member, atomic=False, view=PROFILE)
async def update_me(ctx: Context, input: UpdateMeInput) -> models.User:
    """Change the current user's e-mail or password; a new password ends all other sessions."""
    changed: dict[str, str] = {}
    if input.email is not None:
        changed["email"] = input.email.value
    if input.password is not None:
        await _know_password(ctx.caller.id, input.current_password)
        changed["password_hash"] = await passwords.hashed(input.password.value)
    async with unique("This e-mail address belongs to another account.", "EMAIL_TAKEN"), in_transaction():
        user = await models.User.select_for_update().get(id=ctx.caller.id)
        if changed:
            await user.update_from_dict(changed).save(update_fields=[*changed, "updated_at"])
        if input.password is not None:
            await models.Session.filter(user_id=user.id).exclude(id=ctx.session_id).delete()
    return user


class UserFilters:
    """What users can be filtered by."""

    role: models.GlobalRole
    tier: models.RateTier


list_ = users.list(
    needs=Role.operator,
    filters=UserFilters,
    sort=sorting("user", "created_at", "updated_at", "username"),
    view=DETAIL,
    links=("self",),
)

get = users.get(needs=Role.operator, view=DETAIL, links=("self",))


@strawberry.pydantic.input
class UpdateUserInput(Input):
    """What an owner may change of an account; what is absent stays as it is."""

    email: strawberry.Maybe[Email] = None
    role: strawberry.Maybe[models.GlobalRole] = None
    tier: strawberry.Maybe[models.RateTier] = None
    disabled: strawberry.Maybe[bool] = None


@users.patch("/{id}", needs=Role.owner, view=DETAIL, links=("self",))
async def update(ctx: Context, user: models.User, input: UpdateUserInput) -> models.User:
    """Change an account's e-mail, role or tier, or disable it, which ends its sessions; one owner who may log in is always left."""
    async with unique("This e-mail address belongs to another account.", "EMAIL_TAKEN"), settled():
        row = await models.User.select_for_update().get_or_none(id=user.id)
        if row is None:
            raise NotFound.row("User", "user", str(user.id))
        if input.email is not None:
            row.email = input.email.value
        if input.role is not None:
            row.role = input.role.value
        if input.tier is not None:
            row.tier = input.tier.value
        if input.disabled is not None:
            row.disabled_at = (row.disabled_at or datetime.now(UTC)) if input.disabled.value else None
        await row.save(update_fields=["email", "role", "tier", "disabled_at", "updated_at"])
        if row.disabled_at is not None:
            await models.Session.filter(user_id=row.id).delete()
        if not await owned():
            raise Conflict("This is the last owner who may log in.", reason="LAST_OWNER")
    return row
