"""What the edge shall serve, as the database says."""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from models import CertificateSource
from models.database import database
from models.ports import HTTP, reserved
from models.secrets import UnreadableSecret, decrypt
from models.settings import settings
from workers.edge.caddy_config import PortRoute
from workers.edge.domain_config import DomainRoute

log = structlog.get_logger()

HTTPS: Final = 443
_LIVE = """
    left join lateral (
        select id, ports from deployment s where s.application_id = a.id and s.status = 'success' order by finished_at desc, id desc limit 1
    ) live on true
"""
_PORTS = f"""
    select a.id, a.ports, live.id is null as new, live.ports as live
    from application a {_LIVE} where a.deleted_at is null and a.ports <> '[]'
"""  # noqa: S608 (constants of our own)
_DOMAINS = f"""
    select a.id, a.ports, true as new, live.ports as live, d.domain, d.path, d.container_port, d.redirect_to, d.certificate, d.own
    from domain d join application a on a.id = d.application_id {_LIVE} where a.deleted_at is null order by d.domain, d.path
"""  # noqa: S608 (constants of our own)


def gateway_route() -> tuple[DomainRoute, ...]:
    """The host of the gateway itself, when the edge serves it."""
    given, public = settings(), urlsplit(settings().public_url)
    served = given.edge_gateway and public.scheme == "https" and (public.port or HTTPS) == given.edge_ports[1]
    return (DomainRoute(str(public.hostname), application="", container=0, address=given.edge_gateway),) if served else ()


async def wanted() -> tuple[tuple[PortRoute, ...], tuple[DomainRoute, ...]]:
    """The ports of all applications that speak HTTP, and their domains (DECISIONS 23), with the gateway's own (DECISIONS 13).

    Which ports are published is the application's configuration; where they lead to is what the version listens on that is live.
    """
    ports = [
        PortRoute(str(row["id"]), published, lead.container, lead.keep_alive)
        for row in await database().execute_query_dict(_PORTS)
        for published, lead in _leads(row).items()
    ]
    domains = [found for row in await database().execute_query_dict(_DOMAINS) if (found := _domain(row))]
    gateway = gateway_route()
    theirs = {each.domain for each in gateway}  # somebody may have had the name before it became the gateway's
    return tuple(ports), (*gateway, *(each for each in domains if each.domain not in theirs))


@dataclass(frozen=True, slots=True)
class Lead:
    """Where requests are passed on to, and how."""

    container: int
    keep_alive: bool


def _leads(row: dict[str, Any]) -> dict[int, Lead]:
    """The published ports of an application that speak HTTP, in its own order, and where each leads to."""
    if row["live"] is None and not row["new"]:
        return {}  # Docker publishes them until the next deployment
    live = {each["published_port"]: each["container_port"] for each in json.loads(row["live"] or "[]")}
    return {
        published: Lead(live.get(published, each["container_port"]), each.get("keep_alive", True))
        for each in json.loads(row["ports"])
        if each["protocol"] == HTTP and (published := each["published_port"]) is not None and published not in reserved()
    }


def _domain(row: dict[str, Any]) -> DomainRoute | None:
    """A domain of an application; None for one that leads nowhere yet, or whose certificate cannot be read."""
    leads = list(_leads(row).values())
    lead = next((each for each in leads if each.container == row["container_port"]), leads[0] if leads else None)
    if lead is None and row["redirect_to"] is None:
        return None
    try:
        own = _own(row)
    except (UnreadableSecret, KeyError, TypeError) as error:
        log.warning("edge.certificate_unreadable", domain=row["domain"], error=str(error))
        return None
    return DomainRoute(
        domain=row["domain"],
        application=str(row["id"]),
        container=lead.container if lead else 0,
        keep_alive=lead is None or lead.keep_alive,
        path=row["path"],
        redirect_to=row["redirect_to"],
        internal=row["certificate"] == CertificateSource.internal,
        own=own,
    )


def _own(row: dict[str, Any]) -> tuple[str, str] | None:
    found = decrypt(row["own"]) if row["own"] else None
    return (str(found["chain"]), str(found["key"])) if found else None
