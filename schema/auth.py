"""Auth: the chapter "Authentication" of the specification."""

import strawberry
from tortoise.transactions import in_transaction

import models
from models import passwords
from models.settings import settings
from schema import tokens
from schema.access import Role
from schema.context import Caller, Context
from schema.errors import Forbidden, Unauthorized
from schema.inputs import Input
from schema.resource import Resource
from schema.unique import unique
from schema.users import Email, Password, User, Username

auth = Resource("", plural="auth", path="/auth", about="Accounts, and the tokens that open the rest of the API.")


@strawberry.type
class Login:
    """A session that was opened."""

    token: str
    expires_in: int
    user: User


@strawberry.pydantic.input
class LoginInput(Input):
    """Who logs in; the name may be the e-mail address."""

    username: str
    password: str


async def _named(name: str) -> models.User | None:
    """Whoever has this name or e-mail address; a text that is longer than any is nobody's."""
    column = "email" if "@" in name else "username"
    if len(name) > models.User._meta.fields_map[column].max_length:  # type: ignore[attr-defined]
        return None
    return await models.User.filter(**{column: name}).first()


@auth.post("/login", needs=Role.anonymous, status=200, atomic=False, view="token expiresIn user { id username email roles }")
async def login(ctx: Context, input: LoginInput) -> Login:
    """Authenticate with username (or e-mail) and password."""
    user = await _named(input.username.lower())
    known = await passwords.verify(user.password_hash if user else None, input.password)
    if not known or user is None or user.disabled_at is not None:
        raise Unauthorized("Wrong user name or password.")
    ctx.subject = Caller.of(user)
    return Login(token=await tokens.issued(user), expires_in=tokens.LIFETIME, user=user)  # type: ignore[arg-type]


@auth.post("/logout", needs=Role.member, status=204)
async def logout(ctx: Context) -> None:
    """Invalidate the current session."""
    await models.Session.filter(id=ctx.session_id).delete()


@strawberry.pydantic.input
class RegisterInput(Input):
    """A new account."""

    username: Username
    email: Email
    password: Password


@auth.post("/register", needs=Role.anonymous, atomic=False, view="id username email createdAt")
async def register(ctx: Context, input: RegisterInput) -> models.User:
    """Register a new user; the first one becomes the owner of the installation (DECISIONS 14)."""
    hashed = await passwords.hashed(input.password)
    async with unique("The user name or the e-mail address is taken."), in_transaction() as connection:
        await connection.execute_query("select pg_advisory_xact_lock($1)", [models.OWNERS_LOCK])
        first = not await models.User.exists()
        if settings().registration == "closed" and not first:
            raise Forbidden("Registration is closed.")
        user = await models.User.create(
            username=input.username.lower(),
            email=input.email,
            password_hash=hashed,
            role=models.GlobalRole.owner if first else models.GlobalRole.member,
        )
    ctx.subject = Caller.of(user)
    return user
