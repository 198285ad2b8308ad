"""Auth: the chapter "Authentication" of the specification."""

import strawberry

import models
from models import passwords
from models.settings import settings
from schema import tokens
from schema.access import Role
from schema.accounts import opened, settled
from schema.context import Caller, Context
from schema.errors import Unauthorized
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


@strawberry.type
class Provider:
    """An OpenID provider by which people may log in."""

    name: str
    label: str
    login_url: str


@strawberry.type
class Providers:
    """Every OpenID provider by which people may log in."""

    data: list[Provider]


OIDC_LOGIN = "/oidc/login"


@auth.query("/oidc/providers", needs=Role.anonymous, view="data { name label loginUrl }")
async def providers(ctx: Context) -> Providers:
    """List the OpenID providers by which people may log in; a browser begins at the URL of one (DECISIONS 16)."""
    login = f"{settings().public_url}/api{auth.path}{OIDC_LOGIN}"
    data = [Provider(name=each.name, label=each.title, login_url=f"{login}?provider={each.name}") for each in settings().oidc]
    return Providers(data=data)


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
    async with unique("The user name or the e-mail address is taken."), settled():
        user = await opened(input.username.lower(), input.email, hashed)
    ctx.subject = Caller.of(user)
    return user
