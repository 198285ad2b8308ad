"""Users: the chapter "Users & Teams" of the specification, as far as it is about oneself."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

import models
from models import passwords
from schema.access import Role
from schema.context import Context
from schema.errors import Conflict, Forbidden
from schema.fields import Node, Realm, computed, entity
from schema.inputs import Input, refuse
from schema.operation import Resource
from schema.rules import Length, Pattern
from schema.teams import TeamMembership, memberships

Username = Annotated[str, Pattern(r"[A-Za-z0-9_.-]+", "may hold letters, digits, '_', '.' and '-'", 3, 32)]
Email = Annotated[str, Pattern(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*", "must be an e-mail address", 3, 254)]
Password = Annotated[str, Length(10, 128)]


def _roles(role: models.GlobalRole) -> list[models.GlobalRole]:
    return [role]


async def _private(context: Context, rows: list[tuple[UUID, str]]) -> list[str | None]:
    """An e-mail address is shown to its owner and to operators only."""
    mine = context.user.id if context.user else None
    return [email if context.operator or id == mine else None for id, email in rows]


@entity(models.User, scope="id", realm=Realm.person)
class User(Node):
    """Somebody who can log in, as others see them: the e-mail address is null unless it is one's own, teams are those in common."""

    username: str
    email: str | None = computed(_private, "id", "email", batch=True)
    roles: list[models.GlobalRole] = computed(_roles, "role")
    teams: list[TeamMembership] = computed(memberships, "id", batch=True)
    created_at: datetime


users = Resource("", plural="users", path="/users", about="Oneself: the profile, and what may be changed of it.")

PROFILE = "id username email roles teams { id name role } createdAt"


@users.query("/me", needs=Role.member, view=PROFILE)
async def me(ctx: Context) -> models.User:
    """Get the current user's profile."""
    return await models.User.get(id=ctx.caller.id)


@strawberry.pydantic.input
class UpdateMeInput(Input):
    """What somebody may change of their own account."""

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


@users.patch("/me", needs=Role.member, view=PROFILE)
async def update_me(ctx: Context, input: UpdateMeInput) -> models.User:
    """Change the current user's e-mail or password; a new password ends all other sessions."""
    changed: dict[str, str] = {}
    if input.email is not None:
        changed["email"] = input.email.value.lower()
    if input.password is not None:
        await _know_password(ctx.caller.id, input.current_password)
        changed["password_hash"] = await passwords.hashed(input.password.value)
    try:
        async with in_transaction():
            user = await models.User.select_for_update().get(id=ctx.caller.id)
            if changed:
                await user.update_from_dict(changed).save(update_fields=[*changed, "updated_at"])
            if input.password is not None:
                await models.Session.filter(user_id=user.id).exclude(id=ctx.session_id).delete()
    except IntegrityError as error:
        raise Conflict("This e-mail address belongs to another account.", reason="EMAIL_TAKEN") from error
    return user
