"""What an OpenID provider says of somebody, and what it means here."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

import models
from models.oidc import Provider
from schema.inputs import clean
from schema.users import Email

LONGEST_NAME: Final = 32
SHORTEST_NAME: Final = 3
_HIGHEST_FIRST: Final = (models.GlobalRole.owner, models.GlobalRole.admin, models.GlobalRole.member)
_EMAIL: Final[TypeAdapter[str]] = TypeAdapter(Email)


@dataclass(frozen=True)
class Person:
    """Somebody as a provider knows them."""

    issuer: str
    """What the provider calls itself."""
    subject: str
    """What it calls them, and nobody else ever."""
    claims: Mapping[str, Any]
    """All that it says of them."""

    @property
    def email(self) -> str | None:
        """Their e-mail address in lower case, if the provider says that it is verified; in ASCII alone, as others fold into it."""
        email = self.claims.get("email")
        if self.claims.get("email_verified") is not True or not isinstance(email, str) or not email.isascii() or not clean(email):
            return None
        try:
            return _EMAIL.validate_python(email)
        except ValidationError:
            return None

    @property
    def username(self) -> str:
        """A user name like what they are called there; it may be taken."""
        preferred = self.claims.get("preferred_username")
        called = preferred if isinstance(preferred, str) and preferred else self.email or ""
        plain = unicodedata.normalize("NFKD", called.partition("@")[0]).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9_.-]+", "-", plain)[:LONGEST_NAME].strip("-.")
        return name if len(name) >= SHORTEST_NAME else f"user-{name}".rstrip("-")

    def role(self, provider: Provider) -> models.GlobalRole | None:
        """The highest role that the provider's claim gives them; None when it gives none."""
        given = {provider.roles[value] for value in _texts(self.claims, provider.role_claim) if value in provider.roles}
        return next((role for role in _HIGHEST_FIRST if role in given), None)


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a claim, which may be one or a list of them."""
    found = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    values = found if isinstance(found, list) else [found]
    return [each for each in values if isinstance(each, str)]


def has(claims: Mapping[str, Any], name: str) -> bool:
    """Whether there is a claim of this name, the first part of which is enough when dots lead into objects."""
    return name in claims or name.partition(".")[0] in claims


def free(name: str, taken: Iterable[str]) -> str:
    """A user name that is not taken: this one, or with a number at its end."""
    known = set(taken)
    number, found = 1, name
    while found in known:
        number += 1
        found = f"{name[: LONGEST_NAME - len(str(number))]}{number}"
    return found
