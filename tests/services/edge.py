"""An edge with domains in front of a server that is found as a container is, and how somebody outside sees it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from gateway.embedded.up import free_port
from tests.services.conftest import Api
from tests.workers.edge.test_agent import Told as Engine
from tests.workers.edge.test_serving import HOST, Place, caddy_running
from workers.edge.agent import Agent
from workers.edge.caddy_config import Node, Routes, configuration
from workers.edge.certificates import Certificates, told
from workers.edge.dns import serving
from workers.edge.domain_config import Authority, DomainRoute
from workers.edge.keeper import Keeper

NAME = "app.example.com"


class Domains:
    """An application behind an edge, and what it takes to look at it from outside."""

    def __init__(self, api: Api, place: Place, certificates: Certificates, application: str) -> None:
        self._api, self._place, self._certificates = api, place, certificates
        self.application = application
        self.keeper = Keeper(place.node, place.caddy, Agent(Engine()))

    async def add(self, domain: str = NAME, **body: Any) -> dict[str, Any]:
        """A domain, and the edge told of it."""
        added = await self._api.owner.made(
            f"/applications/{self.application}/domains", {"domain": domain, "certificate": "internal", **body}
        )
        await self.keeper.keep()
        return added

    async def shown(self, status: str, domain: str = NAME, within: float = 20) -> dict[str, Any]:
        """The domain as the API shows it, once its certificate is so."""
        async with asyncio.timeout(within):
            while True:
                await self._certificates.look()
                listed = (await self._api.owner.get(f"/applications/{self.application}/domains")).json()["data"]
                found: dict[str, Any] = next(each for each in listed if each["domain"] == domain)
                if found["certificateStatus"] == status:
                    return found
                await asyncio.sleep(0.2)

    async def serve(self, route: DomainRoute) -> None:
        """Have the edge serve a domain that is in no database."""
        await self._place.caddy.load(configuration(self._place.node, Routes(domains=(route,))))

    async def said(self, domain: str) -> str:
        """What is said under a name; nothing while it has no certificate."""
        try:
            return (await self.get(domain)).text
        except httpx2.TransportError:
            return ""

    def forget(self) -> None:
        """Have the next look see every name, also those that were well."""
        self._certificates.due.clear()

    async def get(self, domain: str = NAME, path: str = "/", *, tls: bool = True) -> httpx2.Response:
        """What somebody gets who asks for a URL."""
        port = self._place.node.https if tls else self._place.node.http
        async with httpx2.AsyncClient(verify=_anybody(), timeout=10) as browser:
            url = f"{'https' if tls else 'http'}://{HOST}:{port}{path}"
            return await browser.get(url, headers={"Host": domain}, extensions={"sni_hostname": domain})


def _anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@asynccontextmanager
async def behind_an_edge(folder: Path, api: Api, http: int, https: int, authority: Authority) -> AsyncIterator[Domains]:
    """An application that runs, and an edge on these ports whose domains an authority vouches for."""
    async with AsyncExitStack() as resources:
        found: dict[str, tuple[str, ...]] = {}
        resolver = await resources.enter_async_context(serving(lambda application: found.get(application, ()), HOST, 0))
        caddy = await resources.enter_async_context(caddy_running(folder))
        heard = await resources.enter_async_context(told(str(folder / "log.sock")))
        node = Node(f"{HOST}:{resolver}", str(folder / "log.sock"), http, https, authority)
        place = Place(free_port(HOST, 0), free_port("127.0.0.2", 0), caddy, node, found)
        container = await place.container("127.0.0.2", "one")
        resources.push_async_callback(container.stop)
        made = await api.application(ports=[{"containerPort": place.container_port, "publishedPort": place.port}])
        found[made["id"]] = (container.address,)
        yield Domains(api, place, Certificates(heard.errors, HOST, node.https), made["id"])
