"""Domains as the edge serves them: by the real Caddy, over TLS, in front of a server that is found as a container is."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.fernet import Fernet

import models
from gateway.embedded.up import free_port
from tests.services.conftest import Api
from tests.services.edge import NAME, Domains, behind_an_edge
from tests.services.test_domains import pem
from tests.workers.edge.test_serving import HOST
from workers.edge.domain_config import Authority, DomainRoute


@pytest.fixture
async def domains(short_tmp: Path, api: Api) -> AsyncIterator[Domains]:
    """Behind an edge whose authority cannot be had."""
    nowhere = Authority(f"https://{HOST}:{free_port(HOST, 0)}/directory")
    async with behind_an_edge(short_tmp, api, free_port(HOST, 0), free_port(HOST, 0), nowhere) as found:
        yield found


async def test_an_internal_name_is_served_over_tls(domains: Domains) -> None:
    await domains.add()
    shown = await domains.shown("valid")
    assert shown["expiresAt"] is not None
    assert shown["certificateError"] is None
    answer = await domains.get()
    assert (answer.status_code, answer.text) == (200, "one")


async def test_plain_http_is_sent_on_to_tls(domains: Domains) -> None:
    await domains.add()
    answer = await domains.get(path="/some?thing", tls=False)
    assert answer.status_code == 308
    assert answer.headers["location"].startswith(f"https://{NAME}")
    assert answer.headers["location"].endswith("/some?thing")


async def test_a_name_that_redirects_keeps_path_and_query(domains: Domains) -> None:
    await domains.add("www.example.com", redirectTo=NAME)
    await domains.shown("valid", "www.example.com")
    answer = await domains.get("www.example.com", "/a/b?c=d")
    assert (answer.status_code, answer.headers["location"]) == (308, f"https://{NAME}/a/b?c=d")


async def test_a_domain_with_a_path_serves_what_is_below_it_and_nothing_else(domains: Domains) -> None:
    await domains.add(path="/api")
    await domains.shown("valid")
    answers = {path: (await domains.get(path=path)).status_code for path in ("/api", "/api/", "/api/x", "/apix", "/", "/API")}
    assert answers == {"/api": 200, "/api/": 200, "/api/x": 200, "/apix": 404, "/": 404, "/API": 200}


async def test_a_certificate_of_ones_own_is_what_is_served(domains: Domains) -> None:
    own = pem(NAME)
    await domains.add(certificate="own", **own)
    shown = await domains.shown("valid")
    leaf = x509.load_pem_x509_certificate(own["certificateChain"].encode())
    assert shown["expiresAt"] == leaf.not_valid_after_utc.isoformat().replace("+00:00", "Z")
    assert (await domains.get()).text == "one"


async def test_an_authority_that_cannot_be_had_is_a_failure_with_its_reason(domains: Domains) -> None:
    await domains.add(certificate="acme")
    shown = await domains.shown("failed")
    assert "connection refused" in shown["certificateError"]
    assert shown["expiresAt"] is None


async def test_a_name_of_nobody_is_not_served(domains: Domains) -> None:
    await domains.add()
    await domains.shown("valid")
    with pytest.raises(httpx2.TransportError):
        await domains.get("other.example.com")


async def test_the_gateway_is_served_by_its_address_and_told_who_asks(domains: Domains) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        told = "".join(
            name for name in ("x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https", "host: dokploy.example.com") if name in head
        )
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(told)}\r\nConnection: close\r\n\r\n{told}".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        await domains.serve(DomainRoute("dokploy.example.com", application="", container=0, address=address, internal=True))
        async with asyncio.timeout(20):
            while not (said := await domains.said("dokploy.example.com")):
                await asyncio.sleep(0.1)
    assert said == "x-forwarded-for: 127.0.0.1x-forwarded-proto: httpshost: dokploy.example.com"


async def test_a_removed_domain_is_served_no_longer(domains: Domains, api: Api) -> None:
    added = await domains.add()
    await domains.shown("valid")
    assert (await api.owner.delete(f"/applications/{domains.application}/domains/{added['id']}")).status_code == 204
    assert await domains.keeper.keep()
    with pytest.raises(httpx2.TransportError):
        await domains.get()


async def test_while_another_program_has_the_port_for_tls_the_ports_of_applications_are_served(domains: Domains, api: Api) -> None:
    other = await asyncio.start_server(lambda reader, writer: None, "", domains.keeper._node.https)
    await domains.add()
    assert len(domains.keeper.standing.served) == 1
    assert "No domain is served, port" in (domains.keeper.standing.trouble or "")
    other.close()
    await other.wait_closed()
    await domains.keeper.keep()
    assert domains.keeper.standing.trouble != "No domain is served"
    await domains.shown("valid")


async def test_a_key_that_was_uploaded_is_in_no_log(domains: Domains, capsys: pytest.CaptureFixture[str]) -> None:
    own = pem(NAME)
    await domains.add(certificate="own", **own)
    secret = own["privateKey"].splitlines()[1]
    assert secret in (await models.Domain.all().first()).own["key"]  # type: ignore[union-attr]
    shown = capsys.readouterr()
    assert secret not in shown.out + shown.err


async def test_a_certificate_that_caddy_does_not_take_costs_no_other_name(domains: Domains) -> None:
    await domains.add()
    await domains.shown("valid")
    added = await domains.add("bad.example.com", certificate="own", **pem("bad.example.com"))
    await models.Domain.filter(id=added["id"]).delete()
    await _nonsense(added, {"chain": "nonsense", "key": "nonsense"})
    await domains.keeper.keep()
    assert "Not all domains are served" in (domains.keeper.standing.trouble or "")
    assert len(domains.keeper.standing.served) == 1
    assert (await domains.get()).text == "one"
    assert not await domains.keeper.keep(), "what was refused is not tried again at once"
    assert "Not all domains are served" in (domains.keeper.standing.trouble or "")


async def test_a_certificate_that_no_key_decrypts_costs_no_other_name(domains: Domains) -> None:
    await domains.add()
    added = await domains.add("bad.example.com", certificate="own", **pem("bad.example.com"))
    foreign = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    await models.database.database().execute_query("update domain set own = $2 where id = $1", [added["id"], foreign])
    await domains.keeper.keep()
    await domains.shown("valid")
    assert (await domains.get()).text == "one"


async def _nonsense(added: dict[str, Any], own: dict[str, str]) -> None:
    """The domain as no API would make it."""
    row = await models.Application.get(id=added["applicationId"])
    kept = {"application_id": row.id, "project_id": row.project_id, "path": "/", "certificate": models.CertificateSource.own}
    await models.Domain.create(domain=added["domain"], own=own, **kept)
