"""Certificates from an authority that asks as Let's Encrypt does (RFC 8555): Debian's pebble, with a name server of the tests' own."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from gateway.embedded.up import free_port
from tests.clients.programs import unavailable
from tests.services.conftest import Api
from tests.services.edge import NAME, Domains, behind_an_edge
from tests.services.test_domains import pem
from tests.workers.edge.test_serving import HOST
from workers.edge import domain_config
from workers.edge.domain_config import Authority

WITHIN = 120.0
"""Seconds until a name that does not resolve has failed."""
LIFE = 30
"""Seconds that a certificate is good for where it is to be renewed."""

pytestmark = pytest.mark.clients


@dataclass
class Authorities:
    """An authority with its name server, which knows one name, and the ports on which it expects whoever is asked for."""

    url: str
    root: Path
    http: int
    https: int


@asynccontextmanager
async def _program(*argv: str, cwd: Path, **environment: str) -> AsyncIterator[None]:
    with (cwd / f"{argv[0]}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, stdout=log, stderr=log, env={**os.environ, **environment})
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _answering(url: str, root: Path | None = None) -> None:
    async with asyncio.timeout(20), httpx2.AsyncClient(verify=False) as client:
        while True:
            try:
                await client.get(url)
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


@asynccontextmanager
async def authority(folder: Path, life: int) -> AsyncIterator[Authorities]:
    """Pebble, whose certificates are good for so many seconds."""
    if not (shutil.which("pebble") and shutil.which("pebble-challtestsrv")):
        unavailable("NO PEBBLE: there is no pebble on this machine")
    dns, management, directory, http, https = (free_port(HOST, 0) for _ in range(5))
    own = pem("localhost")
    (folder / "root.pem").write_text(own["certificateChain"])
    (folder / "key.pem").write_text(own["privateKey"])
    told = {
        "listenAddress": f"{HOST}:{directory}",
        "managementListenAddress": f"{HOST}:{free_port(HOST, 0)}",
        "certificate": str(folder / "root.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": http,
        "tlsPort": https,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "certificateValidityPeriod": life,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": told}))
    nothing = [f"-{name}" for name in ("http01", "https01", "tlsalpn01", "defaultIPv4", "defaultIPv6")]
    names = [f"-dns01={HOST}:{dns}", f"-management={HOST}:{management}", *(f"{each}=" for each in nothing)]
    async with AsyncExitStack() as resources:
        await resources.enter_async_context(_program("pebble-challtestsrv", *names, cwd=folder))
        await _answering(f"http://{HOST}:{management}")
        async with httpx2.AsyncClient(base_url=f"http://{HOST}:{management}") as manager:
            await manager.post("/add-a", json={"host": NAME, "addresses": [HOST]})
        serving = ("pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"{HOST}:{dns}")
        await resources.enter_async_context(_program(*serving, cwd=folder, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"))
        await _answering(f"https://{HOST}:{directory}/dir")
        yield Authorities(f"https://localhost:{directory}/dir", folder / "root.pem", http, https)


@asynccontextmanager
async def domains_of(api: Api, folder: Path, life: int) -> AsyncIterator[Domains]:
    """Behind an edge that gets its certificates from pebble."""
    async with authority(folder, life) as known:
        asked = Authority(known.url, "ops@example.com", str(known.root))
        async with behind_an_edge(folder, api, known.http, known.https, asked) as found:
            yield found


async def test_a_name_that_leads_here_becomes_valid_and_one_that_does_not_resolve_fails_with_the_reason(api: Api, short_tmp: Path) -> None:
    async with domains_of(api, short_tmp, 86_400) as domains:
        await domains.add(certificate="acme")
        await domains.add("nowhere.example.com", certificate="acme")
        shown = await domains.shown("valid")
        assert shown["expiresAt"] is not None
        assert (await domains.get()).text == "one"
        failed = await domains.shown("failed", "nowhere.example.com", WITHIN)
        assert "nowhere.example.com" in failed["certificateError"]
        assert (await domains.shown("valid"))["certificateError"] is None


async def test_a_certificate_is_renewed_before_it_ends(api: Api, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def often(*arguments: object) -> dict[str, object]:
        found = plain(*arguments)  # type: ignore[arg-type]
        return found | {"automation": found["automation"] | {"renew_interval": "1s"}}

    plain = domain_config.certificates
    monkeypatch.setattr(domain_config, "certificates", often)
    async with domains_of(api, short_tmp, LIFE) as domains:
        await domains.add(certificate="acme")
        first = (await domains.shown("valid"))["expiresAt"]
        async with asyncio.timeout(2 * LIFE):
            while (await domains.shown("valid"))["expiresAt"] == first:
                domains.forget()
                await asyncio.sleep(0.5)
