"""Logging in by an OpenID provider: whose account it is, whether they may come in, and as what (DECISIONS 14 and 16)."""

from typing import Final

from tortoise.exceptions import IntegrityError

import models
from models.oidc import Provider
from schema import tokens
from schema.accounts import opened, owned, settled
from schema.audit import enter
from schema.auth import Login
from schema.claims import LONGEST_NAME, Person, free
from schema.context import Caller, Context
from schema.errors import ApiError, Forbidden

ACTION: Final = "auth.oidc"
"""What the audit trail calls it."""
_UNKNOWN: Final = "The provider does not say that your e-mail address is verified, and an account needs one that is."
_ELSEWHERE: Final = "E-mail addresses of this domain may not log in by this provider."
_TAKEN: Final = "Your e-mail address belongs to an account here. Log in to it with its password."


async def entered(context: Context, provider: Provider, person: Person) -> Login:
    """A new session of whoever a provider vouches for, in their account, which is made when there is none.

    Raises `Forbidden` for whoever may not come in.
    """
    async with settled():
        user = await _account(provider, person)
        context.subject = Caller.of(user)
        if user.disabled_at is not None:
            raise Forbidden("This account is disabled.")
        await _have_role(user, provider, person)
        context.subject = Caller.of(user)
        login = Login(token=await tokens.issued(user), expires_in=tokens.LIFETIME, user=user)  # type: ignore[arg-type]
        await enter(context, ACTION, "success", ("user", user.id), _fields(provider))
    return login


async def refused(context: Context, provider: Provider | None, error: ApiError) -> None:
    """Enter a login that failed into the audit trail."""
    await enter(context, ACTION, error.code, fields=_fields(provider) if provider else ())


def _fields(provider: Provider) -> list[tuple[str, str | None]]:
    return [("provider", provider.name)]


async def _account(provider: Provider, person: Person) -> models.User:
    """Whose account it is. Raises `Forbidden`."""
    email = person.email
    if provider.email_domains:
        if email is None:
            raise Forbidden(_UNKNOWN)
        if email.rpartition("@")[2] not in provider.email_domains:
            raise Forbidden(_ELSEWHERE)
    known = await models.Identity.filter(issuer=person.issuer, subject=person.subject).select_related("user").first()
    if known is not None:
        return known.user
    if email is None:
        raise Forbidden(_UNKNOWN)
    user = await models.User.filter(email=email).first()
    made = user is None
    if user is None:
        user = await _made(person, email)
    elif not provider.link_by_email or await models.Identity.filter(user_id=user.id).exists():
        raise Forbidden(_TAKEN)
    else:
        await _handed_over(user)
    await models.Identity.create(user=user, issuer=person.issuer, subject=person.subject, made_account=made)
    return user


async def _handed_over(user: models.User) -> None:
    """Leave an account to whom its e-mail address has been verified for: somebody else may have set it, and may be in."""
    await user.update_from_dict({"password_hash": None}).save(update_fields=["password_hash", "updated_at"])
    await models.Session.filter(user_id=user.id).delete()


async def _made(person: Person, email: str) -> models.User:
    """A new account without a password. Raises `Forbidden`."""
    name = person.username
    alike = await models.User.filter(username__startswith=name[: LONGEST_NAME // 2]).values_list("username", flat=True)
    try:
        return await opened(free(name, map(str, alike)), email, None)
    except IntegrityError as error:  # somebody has just changed their address to this one
        raise Forbidden(_TAKEN) from error


async def _have_role(user: models.User, provider: Provider, person: Person) -> None:
    """Give somebody the role that the provider's claim says; an owner who may log in is always left."""
    if not provider.role_claim:
        return
    wanted = person.role(provider)
    if wanted is None and await _belongs(user, person):
        wanted = models.GlobalRole.member
    before = user.role
    if wanted is None or wanted is before:
        return
    user.role = wanted
    await user.save(update_fields=["role", "updated_at"])
    if before is models.GlobalRole.owner and not await owned():
        user.role = before
        await user.save(update_fields=["role", "updated_at"])


async def _belongs(user: models.User, person: Person) -> bool:
    """Whether an account was made for whoever this provider says, and not linked to them later."""
    return await models.Identity.filter(user_id=user.id, issuer=person.issuer, subject=person.subject, made_account=True).exists()
