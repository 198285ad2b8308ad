"""The OpenID providers by which people may log in, as the administrator lists them."""

from collections.abc import Mapping
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from models.enums import GlobalRole

WELL_KNOWN: Final = "/.well-known/openid-configuration"
SCOPES: Final = ("openid", "email", "profile")


def _domain(value: str) -> str:
    return value.strip().lower()


def is_reachable(url: object, *, insecure: bool) -> bool:
    """Whether something is a URL that a provider may have: https, or also plain HTTP where that is allowed."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    return host and parts.scheme in (("https", "http") if insecure else ("https",))


class Provider(BaseModel):
    """A provider, and who may come in by it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    """What it is called in URLs."""
    label: str = Field(default="", max_length=100)
    """What it is called before people; empty is the name."""
    issuer: str = Field(default="", max_length=512)
    """What it calls itself, to the letter; its metadata are found below. Empty is where the metadata are, without the end."""
    metadata_url: str = Field(default="", alias="metadataUrl", max_length=2048)
    """Where its metadata are, if not below the issuer."""
    client_id: str = Field(alias="clientId", min_length=1, max_length=512)
    client_secret: SecretStr | None = Field(default=None, alias="clientSecret")
    """A public client has none."""
    scopes: tuple[str, ...] = SCOPES
    email_domains: frozenset[Annotated[str, AfterValidator(_domain)]] = Field(default=frozenset(), alias="emailDomains")
    """Whoever comes in has a verified e-mail address in one of these; none allows any."""
    link_by_email: bool = Field(default=False, alias="linkByEmail")
    """Whether somebody new is taken for the account that has the same e-mail address and came by no provider yet. Since nobody has
    verified that address, whoever knew its password is out from then on."""
    role_claim: str = Field(default="", alias="roleClaim")
    """The claim that says what somebody may do, as a text or a list; dots lead into objects. Empty leaves roles alone."""
    roles: Mapping[str, GlobalRole] = {}
    """What the values of that claim mean here."""
    insecure: bool = False
    """Whether it may be reached by plain HTTP."""

    @property
    def title(self) -> str:
        """What people are shown."""
        return self.label or self.name

    @property
    def metadata(self) -> str:
        """The URL of its metadata."""
        return self.metadata_url or self.issuer.rstrip("/") + WELL_KNOWN

    @property
    def servers(self) -> frozenset[tuple[str, str]]:
        """Scheme and authority of the servers that the administrator has named."""
        return frozenset((parts.scheme, parts.netloc) for parts in map(urlsplit, (self.issuer, self.metadata_url)) if parts.netloc)

    def is_issuer(self, issuer: str) -> bool:
        """Whether it may call itself so: as the administrator says, or else by where its metadata are (Discovery, 4.3)."""
        return issuer == self.issuer if self.issuer else issuer.rstrip("/") + WELL_KNOWN == self.metadata_url

    def may_have(self, url: object) -> bool:
        """Whether something may be the URL of one of its endpoints."""
        return is_reachable(url, insecure=self.insecure)

    @model_validator(mode="after")
    def _found(self) -> Self:
        if not (self.issuer or self.metadata_url):
            raise ValueError("issuer or metadataUrl is required")
        for name, url in (("issuer", self.issuer), ("metadataUrl", self.metadata_url)):
            if url and not self.may_have(url):
                raise ValueError(f"{name} must be a URL like https://host/path, or insecure must be true")
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        if bool(self.role_claim) != bool(self.roles):
            raise ValueError("roleClaim and roles belong together")
        return self


_GIVEN = TypeAdapter(tuple[Provider, ...], config=ConfigDict(hide_input_in_errors=True))


def providers(text: str) -> tuple[Provider, ...]:
    """The providers that a setting lists as JSON; empty is none.

    Raises ValueError, whose words hold nothing of the text: secrets stand in it.
    """
    try:
        found = _GIVEN.validate_json(text.strip() or "[]")
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False, include_url=False))
        raise ValueError("; ".join(problems)) from None
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise ValueError("two providers have the same name")
    return found


def redirect(url: str) -> str:
    """A page that may be gone to after a login: an origin and a path, nothing more. Raises ValueError."""
    parts = urlsplit(url)
    if not is_reachable(url, insecure=True) or url != f"{parts.scheme}://{parts.netloc}{parts.path}":
        raise ValueError("must be a URL like https://host/path, without a query or fragment")
    return url
