"""How many requests each tier may send (specification, "Rate Limit Tiers")."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from models.enums import RateTier

ANONYMOUS: Final = "anonymous"
"""The tier of whoever is not logged in."""


class Allowance(BaseModel):
    """What one caller of a tier may send."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(ge=1, le=1_000_000)
    """Requests per minute."""
    burst: int = Field(ge=1, le=1_000_000)
    """Requests at most in any 60 seconds."""
    webhooks: int = Field(ge=0, le=1_000_000)
    """Verified webhooks per hour and application."""


Allowances = Mapping[str, Allowance]

STANDARD: Final[Allowances] = {
    ANONYMOUS: Allowance(limit=10, burst=20, webhooks=0),
    RateTier.authenticated.value: Allowance(limit=100, burst=150, webhooks=1000),
    RateTier.premium.value: Allowance(limit=500, burst=1000, webhooks=10_000),
}

_GIVEN = TypeAdapter(dict[str, dict[str, int]])


def allowances(text: str) -> Allowances | None:
    """The allowances that a setting asks for: None for `off`, else JSON by tier that replaces some of the standard numbers.

    Raises ValueError.
    """
    if text.strip() == "off":
        return None
    if not text.strip():
        return STANDARD
    given = _GIVEN.validate_json(text)
    if unknown := set(given) - set(STANDARD):
        raise ValueError(f"unknown tiers: {', '.join(sorted(unknown))}; there are {', '.join(STANDARD)}")
    return {tier: Allowance.model_validate(allowance.model_dump() | given.get(tier, {})) for tier, allowance in STANDARD.items()}
