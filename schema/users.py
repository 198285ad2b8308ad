"""Users: the chapter "Users & Teams" of the specification, as far as it is about oneself."""

from datetime import datetime
from typing import Annotated

import strawberry
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

import models
from models import passwords
from schema.access import Role
from schema.context import Context
from schema.errors import Conflict, Forbidden
from schema.fields import computed, entity
from schema.inputs import Input, refuse
from schema.operation import Resource
from schema.rules import Length, Pattern
from schema.teams import TeamMembership, memberships

Username = Annotated[str, Pattern(r"[A-Za-z0-9_.-]+", "may hold letters, digits, '_', '.' and '-'", 3, 32)]
Email = Annotated[str, Pattern(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*", "must be an e-mail address", 3, 254)]
Password = Annotated[str, Length(10, 128)]


def _roles(role: models.GlobalRole) -> list[models.GlobalRole]:
    return [role]


@entity(models.User, scope="id")
class User:
    """Somebody who can log in."""

    id: strawberry.ID
    username: str
    email: str
    roles: list[models.GlobalRole] = computed(_roles, "role")
    teams: list[TeamMembership] = computed(memberships, "id", batch=True)
    created_at: datetime


users = Resource("", plural="users", path="/users")

PROFILE = "id username email roles teams { id name role } createdAt"


@users.query("/me", needs=Role.member, view=PROFILE)
async def me(ctx: Context) -> models.User:
    """Get the current user's profile."""
    return ctx.caller


@strawberry.pydantic.input
class UpdateMeInput(Input):
    """What somebody may change of their own account."""

    email: strawberry.Maybe[Email] = None
    password: strawberry.Maybe[Password] = None
    current_password: strawberry.Maybe[str] = None


@users.patch("/me", needs=Role.member, view=PROFILE)
async def update_me(ctx: Context, input: UpdateMeInput) -> models.User:
    """Change the current user's e-mail or password; a new password ends all other sessions."""
    user = ctx.caller
    if input.email is not None:
        user.email = input.email.value.lower()
    if input.password is not None:
        if input.current_password is None:
            refuse("currentPassword", "required", "is required to change the password")
        if not await passwords.verify(user.password_hash, input.current_password.value):
            raise Forbidden("The current password is wrong.")
        user.password_hash = await passwords.hashed(input.password.value)
    try:
        async with in_transaction():
            await user.save()
            if input.password is not None:
                await models.Session.filter(user_id=user.id).exclude(id=ctx.session_id).delete()
    except IntegrityError as error:
        raise Conflict("This e-mail address belongs to another account.", reason="EMAIL_TAKEN") from error
    return user
