"""Domains: who may have which name, for what, with which certificate."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import models
from models.settings import settings
from tests.services.conftest import Api

NAME = "app.example.com"


def pem(*names: str, days: int = 30, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> dict[str, str]:
    """A certificate for some names, and its key."""
    key = ec.generate_private_key(curve())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=90)).not_valid_after(now + timedelta(days=days))
    made = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False).sign(
        key, hashes.SHA256()
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"certificateChain": made.public_bytes(Encoding.PEM).decode(), "privateKey": private.decode()}


async def application(api: Api, **body: Any) -> str:
    made = await api.application(ports=[{"containerPort": 8080}, {"containerPort": 9090}], **body)
    return str(made["id"])


async def refused(api: Api, id: str, **body: Any) -> tuple[int, str, Any]:
    answer = await api.owner.post(f"/applications/{id}/domains", body)
    error = answer.json()["error"]
    details = error.get("details") or {}
    problems = details.get("errors") or error.get("errors") or []
    return answer.status_code, error["code"], [each["field"] for each in problems] or details.get("reason") or details.get("field")


async def test_a_domain_is_added_shown_and_removed(api: Api) -> None:
    id = await application(api)
    added = await api.owner.made(f"/applications/{id}/domains", {"domain": "App.Example.com", "path": "/api", "containerPort": 9090})
    expected = {"domain": NAME, "path": "/api", "containerPort": 9090, "redirectTo": None, "certificate": "acme"}
    assert {name: added[name] for name in expected} == expected
    assert (added["certificateStatus"], added["certificateError"], added["expiresAt"]) == ("pending", None, None)
    assert added["_links"]["application"] == f"/api/applications/{id}"
    listed = (await api.owner.get(f"/applications/{id}/domains")).json()
    assert listed["data"] == [{name: value for name, value in added.items() if name != "_links"}]
    shown = (await api.owner.get(f"/applications/{id}")).json()
    assert shown["domains"] == [{"domain": NAME, "certificateStatus": "pending", "expiresAt": None}]
    assert (await api.owner.delete(f"/applications/{id}/domains/{added['id']}")).status_code == 204
    assert (await api.owner.delete(f"/applications/{id}/domains/{added['id']}")).status_code == 404
    assert (await api.owner.get(f"/applications/{id}/domains")).json() == {"data": []}


async def test_the_same_in_graphql(api: Api) -> None:
    id = await application(api)
    mutation = "mutation ($id: ID!, $input: AddDomainInput!) { addDomain(id: $id, input: $input) { id domain certificate path } }"
    answer = await api.owner.graphql(mutation, id=id, input={"domain": NAME, "certificate": "internal"})
    added = answer["data"]["addDomain"]
    assert (added["domain"], added["certificate"], added["path"]) == (NAME, "internal", "/")
    query = "query ($id: ID!) { application(id: $id) { domains { id domain certificateStatus } } node(id: $id) { id } }"
    shown = (await api.owner.graphql(query, id=id))["data"]["application"]["domains"]
    assert shown == [{"id": added["id"], "domain": NAME, "certificateStatus": "pending"}]
    removal = "mutation ($id: ID!, $domainId: ID!) { removeDomain(id: $id, domainId: $domainId) }"
    assert "errors" not in await api.owner.graphql(removal, id=id, domainId=added["id"])
    assert not await models.Domain.exists()


@pytest.mark.parametrize(
    "name",
    [
        "*.example.com",
        "192.0.2.1",
        "[2001:db8::1]",
        "localhost",
        "app.example.com.",
        "app.example.com:443",
        "-app.example.com",
        "app..example.com",
        "app.example.123",
        "äpp.example.com",
        "xn--app-.example.com",
        "xn--google-.com",
        "xn--0.example.com",
        "xn--80ak6aa92e-.com",
        "x" * 64 + ".example.com",
        "a." * 5_000 + "com",
        "app.example.com\n",
        "app.example.com/path",
        "https://app.example.com",
    ],
)
async def test_what_is_no_domain_is_refused(api: Api, name: str) -> None:
    id = await application(api)
    assert await refused(api, id, domain=name) == (400, "VALIDATION_ERROR", ["domain"])


async def test_an_international_name_is_taken_in_its_one_spelling(api: Api) -> None:
    id = await application(api)
    added = await api.owner.made(f"/applications/{id}/domains", {"domain": "XN--BCHER-KVA.example.com"})
    assert added["domain"] == "xn--bcher-kva.example.com"


@pytest.mark.parametrize("path", ["", "api", "/api/", "/../etc", "/a/../b", "/a/./b", "/a//b", "/a b", "/a?b", "/" + "a" * 255, "/%2e%2e"])
async def test_what_is_no_path_is_refused(api: Api, path: str) -> None:
    id = await application(api)
    assert await refused(api, id, domain=NAME, path=path) == (400, "VALIDATION_ERROR", ["path"])


async def test_a_name_belongs_to_one_application_and_its_paths_to_one_project(api: Api) -> None:
    first, other = await application(api), await application(api)
    await api.owner.made(f"/applications/{first}/domains", {"domain": NAME})
    taken = (409, "CONFLICT", "DOMAIN_TAKEN")
    assert await refused(api, first, domain=NAME) == taken
    assert await refused(api, other, domain=NAME) == taken
    assert await refused(api, other, domain=NAME, path="/api") == taken
    project = (await models.Application.get(id=first)).project_id
    sibling = await application(api, projectId=str(project))
    assert await refused(api, sibling, domain=NAME) == taken
    assert (await api.owner.made(f"/applications/{sibling}/domains", {"domain": NAME, "path": "/api"}))["path"] == "/api"


async def test_the_name_of_a_deleted_application_is_free_at_once(api: Api) -> None:
    first, other = await application(api), await application(api)
    await api.owner.made(f"/applications/{first}/domains", {"domain": NAME})
    assert (await api.owner.delete(f"/applications/{first}")).status_code == 204
    await api.owner.made(f"/applications/{other}/domains", {"domain": NAME})


async def test_the_name_of_the_installation_itself_is_taken(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "public_url", "http://dokploy.example.com:8080")
    id = await application(api)
    assert await refused(api, id, domain="dokploy.example.com") == (409, "CONFLICT", "DOMAIN_TAKEN")


async def test_a_port_that_the_application_has_not_is_refused(api: Api) -> None:
    id = await application(api)
    assert await refused(api, id, domain=NAME, containerPort=7070) == (422, "UNPROCESSABLE_ENTITY", "containerPort")


async def test_a_redirect_leads_elsewhere(api: Api) -> None:
    id = await application(api)
    assert await refused(api, id, domain=NAME, redirectTo=NAME) == (400, "VALIDATION_ERROR", ["redirectTo"])
    added = await api.owner.made(f"/applications/{id}/domains", {"domain": "www.example.com", "redirectTo": "example.com"})
    assert added["redirectTo"] == "example.com"


async def test_a_certificate_of_ones_own_is_kept_encrypted_and_never_shown(api: Api) -> None:
    id, own = await application(api), pem(NAME)
    added = await api.owner.made(f"/applications/{id}/domains", {"domain": NAME, "certificate": "own", **own})
    assert added["expiresAt"] is not None
    assert not {"certificateChain", "privateKey", "own"} & added.keys()
    stored = await models.Domain.get(id=added["id"])
    assert stored.own == {"chain": own["certificateChain"], "key": own["privateKey"]}
    (raw,) = await models.database.fetch("select own from domain where id = $1", stored.id)
    assert "PRIVATE KEY" not in raw["own"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"certificate": "own"}, "certificateChain"),
        ({"certificate": "own", "certificateChain": pem(NAME)["certificateChain"]}, "privateKey"),
        ({"certificate": "own", **pem("other.example.com")}, "certificateChain"),
        ({"certificate": "own", **pem(NAME, days=-1)}, "certificateChain"),
        ({"certificate": "own", **pem(NAME), "privateKey": pem(NAME)["privateKey"]}, "privateKey"),
        ({"certificate": "own", **pem(NAME), "certificateChain": "nonsense"}, "certificateChain"),
        ({"certificate": "own", **pem(NAME), "privateKey": "nonsense"}, "privateKey"),
        ({"certificate": "own", **pem(NAME, curve=ec.SECP256K1)}, "privateKey"),
        ({"certificate": "own", **pem(NAME, "other.example.com")}, "certificateChain"),
        ({"certificate": "own", "privatekey": pem(NAME)["privateKey"]}, "privatekey"),
        ({"certificate": "acme", **pem(NAME)}, "certificateChain"),
        ({"certificate": "somebody"}, "certificate"),
    ],
)
async def test_a_certificate_that_cannot_be_served_is_refused_and_its_key_is_not_repeated(
    api: Api, given: dict[str, Any], field: str
) -> None:
    id = await application(api)
    answer = await api.owner.post(f"/applications/{id}/domains", {"domain": NAME, **given})
    assert answer.status_code == 400
    assert f'"{field}"' in answer.text
    assert "PRIVATE KEY" not in answer.text
    assert not await models.Domain.exists()


async def test_what_stands_beside_a_certificate_is_not_kept(api: Api) -> None:
    """Caddy would fill in whatever a placeholder names."""
    id, own = await application(api), pem(NAME)
    noise = {name: f"{{file./etc/hostname}}\n{text}" for name, text in own.items()}
    added = await api.owner.made(f"/applications/{id}/domains", {"domain": NAME, "certificate": "own", **noise})
    stored = await models.Domain.get(id=added["id"])
    assert stored.own == {"chain": own["certificateChain"], "key": own["privateKey"]}


async def test_a_port_that_speaks_no_http_leads_to_no_domain(api: Api) -> None:
    made = await api.application(ports=[{"containerPort": 8080}, {"containerPort": 53, "protocol": "udp"}])
    assert await refused(api, made["id"], domain=NAME, containerPort=53) == (422, "UNPROCESSABLE_ENTITY", "containerPort")


async def test_a_wildcard_certificate_covers_one_label(api: Api) -> None:
    id = await application(api)
    await api.owner.made(f"/applications/{id}/domains", {"domain": NAME, "certificate": "own", **pem("*.example.com")})
    deep = {"domain": "a.b.example.com", "certificate": "own", **pem("*.example.com")}
    assert (await api.owner.post(f"/applications/{id}/domains", deep)).status_code == 400


async def test_an_application_has_a_hundred_domains_at_most(api: Api) -> None:
    id = await application(api)
    row = await models.Application.get(id=id)
    many = [
        models.Domain(application_id=row.id, project_id=row.project_id, domain=f"a{n}.example.com", path="/", certificate="acme")
        for n in range(100)
    ]
    await models.Domain.bulk_create(many)
    assert await refused(api, id, domain=NAME) == (409, "CONFLICT", "TOO_MANY")
