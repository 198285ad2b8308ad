"""People who use the gateway over REST or GraphQL."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2
import pytest
import uvicorn
from argon2 import PasswordHasher
from pydantic import SecretStr

from gateway import ratelimit
from gateway.app import Application
from gateway.socket_protocol import Socket
from models import passwords
from models.database import database
from models.settings import settings
from tests.contract.answers import conform
from tests.services.limits import limit_to

PASSWORD = "correct horse battery"
ROOTS = ("application", "database", "project", "team", "audit", "account", "edge_node", "log_stream", "counted")
"""The tables on which all others hang, in the order in which they can be emptied."""
SCRAPER = "scrape me"
"""The token of Prometheus."""
_numbers = itertools.count(1)


@dataclass
class Person:
    """Somebody with a token."""

    client: httpx2.AsyncClient
    username: str = ""
    id: str = ""
    token: str = ""
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = self.headers | options.pop("headers", {})
        answer = await self.client.request(method, f"/api{path}", headers=headers, **options)
        conform(answer)
        return answer

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx2.Response:
        return await self.call("POST", path, json=json, **options)

    async def patch(self, path: str, json: Any) -> httpx2.Response:
        return await self.call("PATCH", path, json=json)

    async def delete(self, path: str) -> httpx2.Response:
        return await self.call("DELETE", path)

    async def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self.post("/graphql", {"query": query, "variables": variables})
        body: dict[str, Any] = answer.json()
        return body

    async def made(self, path: str, json: Any) -> dict[str, Any]:
        """What a POST made."""
        answer = await self.post(path, json)
        assert answer.status_code in (200, 201, 202), answer.text
        body: dict[str, Any] = answer.json()
        return body


@dataclass
class Api:
    """The gateway, and whom it knows."""

    client: httpx2.AsyncClient
    owner: Person

    @property
    def anonymous(self) -> Person:
        return Person(self.client)

    async def person(self) -> Person:
        """A new plain member."""
        return await _registered(self.client, f"user{next(_numbers)}")

    async def project(self, **extra: Any) -> dict[str, Any]:
        return await self.owner.made("/projects", {"name": f"Project{next(_numbers)}", **extra})

    async def application(self, project: dict[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
        project = project or await self.project()
        body = {"name": f"app-{next(_numbers)}", "projectId": project["id"], "image": "busybox:1", **extra}
        return await self.owner.made("/applications", body)

    async def database(self, project: dict[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
        project = project or await self.project()
        body = {"name": f"store-{next(_numbers)}", "type": "postgresql", "projectId": project["id"], **extra}
        return await self.owner.made("/databases", body)


async def _registered(client: httpx2.AsyncClient, username: str) -> Person:
    person = Person(client, username)
    made = await person.made("/auth/register", {"username": username, "email": f"{username}@example.com", "password": PASSWORD})
    person.id = made["id"]
    person.token = (await person.made("/auth/login", {"username": username, "password": PASSWORD}))["token"]
    return person


@pytest.fixture(scope="package", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """A hash that costs next to nothing: nearly every test registers somebody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


async def _emptied() -> None:
    """Delete what everything hangs on: of a few rows that takes a tenth of what it takes to truncate the tables, and waits for no reader.

    What takes longer is truncated. A transaction that an earlier test has left open is ended by Postgres within 10 s.
    """
    ways = ("; ".join(f"delete from {table}" for table in ROOTS), f"truncate {', '.join(ROOTS)} cascade")
    async with asyncio.timeout(30):
        for way in itertools.cycle(ways):
            with contextlib.suppress(asyncpg.QueryCanceledError):
                await database().execute_script(way)
                return


@pytest.fixture
async def api(gateway: httpx2.AsyncClient) -> Api:
    """An empty installation with its owner."""
    await _emptied()
    return Api(gateway, await _registered(gateway, "owner"))


@pytest.fixture
def scraped(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The header that Prometheus sends."""
    monkeypatch.setitem(settings().__dict__, "metrics_token", SecretStr(SCRAPER))
    return {"Authorization": f"Bearer {SCRAPER}"}


@pytest.fixture
async def limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The standard limits, nothing counted yet, and a gateway that waits for the count also on a busy machine."""
    monkeypatch.setattr(ratelimit, "SOON", 5.0)
    monkeypatch.setattr(ratelimit.limiter, "_away_until", 0.0)  # whatever an earlier test has left
    monkeypatch.setattr(ratelimit.limiter, "_late", False)
    before = settings().rate_limits
    await limit_to("{}")
    yield limit_to
    settings().__dict__["rate_limits"] = before


@pytest.fixture(scope="module")
async def server(stack: object) -> AsyncIterator[str]:
    """The gateway behind a real uvicorn."""
    server = uvicorn.Server(
        uvicorn.Config(Application(), port=0, ws=Socket, ws_per_message_deflate=False, log_level="error", lifespan="off")
    )
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/api/graphql"
    server.should_exit = True
    await task
