"""Domains: the names under which the edge serves an application."""

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import idna
import strawberry
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from tortoise.transactions import in_transaction

import models
from models.database import database
from models.ports import HTTP
from models.settings import settings
from schema.access import Role
from schema.context import Context
from schema.errors import Conflict, NotFound, UnprocessableEntity
from schema.fields import Node, entity
from schema.held import held
from schema.inputs import Input, refuse
from schema.own_certificates import checked
from schema.resource import Resource
from schema.rules import Between, Length, Pattern
from schema.unique import unique

MOST = 100
"""Domains of one application."""
TAKEN = "DOMAIN_TAKEN"
SHOWN = (
    *("id", "application_id", "domain", "path", "container_port", "redirect_to", "certificate", "certificate_status"),
    *("certificate_error", "expires_at", "created_at"),
)
"""The columns that are read: keys stay where they are."""


@entity(models.Domain, scope="project_id")
class Domain(Node):
    """A name under which the edge serves the application."""

    application_id: strawberry.ID
    domain: str
    path: str
    container_port: int | None
    redirect_to: str | None
    certificate: models.CertificateSource
    certificate_status: str
    certificate_error: str | None
    expires_at: datetime | None
    created_at: datetime


async def of_applications(context: Context, keys: list[tuple[UUID]]) -> list[list[Domain]]:
    """The domains of each of some applications."""
    found: dict[UUID, list[Domain]] = defaultdict(list)
    rows: list[dict[str, Any]] = (
        await models.Domain.filter(application_id__in=[key for (key,) in keys]).order_by("domain", "path").values(*SHOWN)
    )
    for row in rows:
        ids = {name: strawberry.ID(str(row[name])) for name in ("id", "application_id")}
        found[row["application_id"]].append(Domain(**row | ids))
    return [found[key] for (key,) in keys]


def _internationalised(name: str) -> str:
    """The name in lower case, when each of its labels that stands for other letters is the one way to write them (RFC 5891)."""
    name = name.lower()
    try:
        same = idna.encode(idna.decode(name, strict=True), strict=True).decode() == name if "xn--" in name else True
    except idna.IDNAError:
        same = False
    if not same:
        raise PydanticCustomError("international", "must be a valid international name")
    return name


DomainName = Annotated[
    str,
    Pattern(
        r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?",
        "must be a domain name like app.example.com, without wildcards, ports or a dot at its end",
        4,
        253,
    ),
    AfterValidator(_internationalised),
]
PathPrefix = Annotated[
    str,
    Pattern(r"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+", "must be a path like /api, without '..', spaces or a slash at its end", 1, 255),
]
Pem = Annotated[str, Length(1, 65_536)]


@strawberry.pydantic.input
class AddDomainInput(Input):
    """A new domain of an application; `certificateChain` and `privateKey` come with the certificate `own`."""

    domain: DomainName
    path: PathPrefix = "/"
    container_port: Annotated[int, Between(1, 65_535)] | None = None
    redirect_to: DomainName | None = None
    certificate: models.CertificateSource = models.CertificateSource.acme
    certificate_chain: Pem | None = None
    private_key: Pem | None = None


domains = Resource("domain", Domain, path="/applications/{id}/domains")

VIEW = "id applicationId domain path containerPort redirectTo certificate certificateStatus certificateError expiresAt createdAt"


@domains.post(needs=Role.developer, view=VIEW, links={"application": "applications.get"})
async def add(ctx: Context, application: models.Application, input: AddDomainInput) -> models.Domain:
    """Add a domain: a name, or the paths of it below a prefix, belongs to one application; all paths of a name to one project."""
    if input.redirect_to == input.domain:
        refuse("redirectTo", "different", "must be another domain")
    if input.container_port is not None and input.container_port not in _speaking_http(application):
        raise UnprocessableEntity("The application has no such port that speaks HTTP.", field="containerPort")
    own, ends = _own(input)
    async with unique("The domain and path belong to another application, or are this one's already.", TAKEN), in_transaction():
        row = await held(application)
        await _claim(row, input.domain)
        return await models.Domain.create(
            application_id=row.id,
            project_id=row.project_id,
            domain=input.domain,
            path=input.path,
            container_port=input.container_port,
            redirect_to=input.redirect_to,
            certificate=input.certificate,
            own=own,
            expires_at=ends,
        )


def _speaking_http(application: models.Application) -> set[int]:
    return {each["container_port"] for each in application.ports if each["protocol"] == HTTP}


def _own(input: AddDomainInput) -> tuple[dict[str, str] | None, datetime | None]:
    """What is stored of a certificate that was brought along, and its end."""
    if input.certificate is models.CertificateSource.own:
        own = checked(input.certificate_chain, input.private_key, input.domain)
        return {"chain": own.chain, "key": own.key}, own.ends
    for name, value in (("certificateChain", input.certificate_chain), ("privateKey", input.private_key)):
        if value is not None:
            refuse(name, "certificate", "comes with the certificate 'own'")
    return None, None


async def _claim(application: models.Application, name: str) -> None:
    """See that a name is free for an application, and that it has not too many. Raises `Conflict`."""
    host = settings().public_url.partition("://")[2].partition(":")[0]
    if name == host.lower():
        raise Conflict("The domain is that of this installation.", reason=TAKEN)
    await database().execute_query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [name])
    if await models.Domain.filter(domain=name).exclude(project_id=application.project_id).exists():
        raise Conflict("The domain belongs to another project.", reason=TAKEN)
    if await models.Domain.filter(application_id=application.id).count() >= MOST:
        raise Conflict(f"An application has {MOST} domains at most.", reason="TOO_MANY")


@domains.delete("/{domainId}", needs=Role.developer)
async def remove(ctx: Context, application: models.Application, domain: models.Domain) -> None:
    """Remove a domain; the edge stops serving it within some seconds, and its name is free at once."""
    if not await models.Domain.filter(id=domain.id).delete():
        raise NotFound.row("Domain", "domain", str(domain.id))
