"""The part of Caddy's configuration that serves domains: one server for all of them, and where their certificates come from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SERVER: Final = "domains"


@dataclass(frozen=True, slots=True)
class DomainRoute:
    """A name, or the paths of it below a prefix, and the port of an application's containers that it leads to."""

    domain: str
    application: str
    container: int
    keep_alive: bool = True
    path: str = "/"
    address: str | None = None
    """Where something is reached that is no application: the gateway."""
    redirect_to: str | None = None
    internal: bool = False
    """Whether this installation's own authority vouches for it."""
    own: tuple[str, str] | None = field(default=None, repr=False)
    """The uploaded chain and its key."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who vouches for names (RFC 8555): empty is Caddy's choice."""

    directory: str = ""
    email: str = ""
    root: str = ""
    """File with the certificate by which it is known itself."""


Proxy = Callable[[DomainRoute], Mapping[str, Any]]
"""Makes the handler that passes on to the containers of an application."""


def server(domains: Iterable[DomainRoute], https: int, proxy: Proxy) -> dict[str, Any]:
    """The server of all domains; what is none of them is not found."""
    ordered = sorted(domains, key=lambda each: (each.domain, -len(each.path), each.path))
    brought = sorted({each.domain for each in ordered if each.own})
    return {
        "listen": [f":{https}"],
        "routes": [*(_route(each, proxy) for each in ordered), {"handle": [{"handler": "static_response", "status_code": 404}]}],
        "automatic_https": {"skip_certificates": brought, "ignore_loaded_certificates": True},
        "strict_sni_host": True,
    }


def _route(route: DomainRoute, proxy: Proxy) -> dict[str, Any]:
    match: dict[str, Any] = {"host": [route.domain]}
    if route.path != "/":
        match["path"] = [route.path, f"{route.path}/*"]
    return {"match": [match], "handle": [_handler(route, proxy)], "terminal": True}


def _handler(route: DomainRoute, proxy: Proxy) -> Mapping[str, Any]:
    if route.redirect_to is None:
        return proxy(route)
    location = f"https://{route.redirect_to}{{http.request.uri}}"
    return {"handler": "static_response", "status_code": 308, "headers": {"Location": [location]}}


def certificates(domains: Iterable[DomainRoute], authority: Authority) -> dict[str, Any]:
    """Where the certificate of each name comes from: what was uploaded comes first, then what is internal."""
    domains = list(domains)
    own = {each.domain: each.own for each in domains if each.own}
    internal = {each.domain for each in domains if each.internal} - own.keys()
    public = {each.domain for each in domains} - own.keys() - internal
    policies = [
        {"subjects": sorted(names), "issuers": [issuer]}
        for names, issuer in ((internal, {"module": "internal"}), (public, _acme(authority)))
        if names
    ]
    return {
        "automation": {"policies": policies},
        "certificates": {"load_pem": [{"certificate": chain, "key": key} for _, (chain, key) in sorted(own.items())]},
    }


def _acme(authority: Authority) -> dict[str, Any]:
    known = {"ca": authority.directory, "email": authority.email, "trusted_roots_pem_files": [authority.root] if authority.root else []}
    return {"module": "acme", **{name: value for name, value in known.items() if value}}
