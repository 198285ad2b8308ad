"""The three pages for a browser as Chromium shows them: used like a person would, and nothing that their policies refuse."""

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import pages
from gateway.embedded import probes
from gateway.embedded.children import run
from gateway.embedded.probes import Tcp
from gateway.embedded.stack import Stack
from gateway.embedded.up import CLI, free_port, gateway_argv, migrate_argv
from gateway.openapi import document
from schema.surface import surface
from tests.clients.programs import installed, lacking, ran, unavailable

CLIENT = Path(__file__).parent / "browser"
PICTURES = Path(__file__).parents[2] / "docs" / "images"
HOST = "dokploy.example"
SIZE = (1280, 800)
LARGEST = 300_000
READY_SECONDS = 30.0
VISIT_SECONDS = 60.0
ACCOUNT = {"username": "grace", "password": "correct horse battery"}
EMAIL = "grace@example.com"
OPERATIONS = {
    operation["operationId"]: f"{method.upper()} {path}"
    for path, operations in document(surface())["paths"].items()
    for method, operation in operations.items()
}

pytestmark = pytest.mark.clients


@dataclass(frozen=True)
class Visit:
    """What the browser told of a page, and a picture of it."""

    page: str
    picture: Path
    seen: dict[str, Any]
    """What its steps saw."""
    failed: str | None
    """Why a step could not be done."""
    refused: list[str]
    """What the policy of the page forbids and the page did."""
    said: list[str]
    """Errors and warnings on the console."""
    requests: list[dict[str, Any]]


@dataclass(frozen=True)
class House:
    """A running gateway, somebody who may use it, and the browser to be tried on it."""

    port: int
    token: str
    deployment: str
    chromium: str
    data: Path

    async def visit(self, page: str, *, port: int | None = None) -> Visit:
        """Let the browser use a page. Raises TimeoutError."""
        port = port or self.port
        picture = self.data / f"{page}-{port}.png"
        asked = {"chromium": self.chromium, "port": port, "page": page, "picture": str(picture)}
        known = {"token": self.token, "deployment": self.deployment, **ACCOUNT}
        (line,) = await ran("node", "visit.mjs", json.dumps(asked | known), cwd=CLIENT, within=VISIT_SECONDS)
        return Visit(page, picture, **json.loads(line))


@pytest.fixture(scope="module")
async def chromium() -> str:
    """The browser, and what drives it."""
    if sentence := await lacking():
        unavailable(f"NO NODE.JS: {sentence}")
    path = shutil.which("chromium")
    if path is None:
        unavailable("NO CHROMIUM: there is no chromium on this machine")
    await installed(CLIENT)
    return path


@pytest.fixture(scope="module")
async def house(chromium: str) -> AsyncIterator[House]:
    """A fresh installation without a worker: what is deployed waits."""
    async with AsyncExitStack() as exit_stack:
        data = Path(tempfile.mkdtemp(prefix="dk-browser-"))
        exit_stack.push_async_callback(asyncio.to_thread, shutil.rmtree, data)
        stack = await exit_stack.enter_async_context(Stack(data / "stack"))
        assert await run(stack.command("migrate", migrate_argv(CLI))) == 0
        port = free_port("127.0.0.1", 0)
        gateway = await stack.start("gateway", gateway_argv(CLI, "127.0.0.1", port))
        await gateway.ready(lambda: probes.http_answers(Tcp("127.0.0.1", port), "/api/health"), seconds=READY_SECONDS)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/api") as http:
            await _made(http, "/auth/register", ACCOUNT | {"email": EMAIL})
            token = (await _made(http, "/auth/login", ACCOUNT))["token"]
            http.headers["Authorization"] = f"Bearer {token}"
            project = await _made(http, "/projects", {"name": "Pages"})
            application = await _made(http, "/applications", {"name": "hello", "projectId": project["id"], "image": "busybox:1"})
            deployment = (await _made(http, f"/applications/{application['id']}/deploy", {}))["deploymentId"]
        yield House(port, token, deployment, chromium, data)


async def _made(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture(scope="module", params=pages.POLICIES)
async def visit(house: House, request: pytest.FixtureRequest) -> Visit:
    """A page, used once for all the tests that look at it."""
    return await house.visit(request.param)


@pytest.mark.parametrize("visit", ["docs"], indirect=True)
def test_swagger_ui_lists_every_operation_and_executes_one_with_a_token(visit: Visit) -> None:
    assert visit.failed is None
    assert sorted(visit.seen["operations"]) == sorted(OPERATIONS.values())
    assert visit.seen["status"].split() == ["200"]
    assert json.loads(visit.seen["body"])["username"] == ACCOUNT["username"]


@pytest.mark.parametrize("visit", ["redoc"], indirect=True)
def test_redoc_shows_every_operation_and_finds_one(visit: Visit) -> None:
    assert visit.failed is None
    assert sorted(visit.seen["operations"]) == sorted(OPERATIONS)
    assert visit.seen["results"] == ["tag/deployments/operation/deployments.rollback"]
    assert OPERATIONS["deployments.rollback"].split() == re.findall(r"^POST$|^/api/.*$", visit.seen["details"], re.MULTILINE)


@pytest.mark.parametrize("visit", ["graphiql"], indirect=True)
def test_graphiql_signs_in_queries_and_subscribes(visit: Visit) -> None:
    assert visit.failed is None
    assert json.loads(visit.seen["answer"]) == {"data": {"me": {"username": ACCOUNT["username"]}}}
    assert json.loads(visit.seen["chosen"]) == {"data": {"me": {"email": EMAIL}}}
    assert json.loads(visit.seen["event"])["data"]["deploymentEvents"] in [{"seq": seq, "status": "pending"} for seq in (1, 2)]
    assert "Subscription" in visit.seen["explorer"]
    assert {"url": f"ws://{HOST}/api/graphql", "status": 101} in visit.requests


def test_a_page_does_nothing_that_its_policy_refuses(visit: Visit) -> None:
    assert visit.refused == []
    assert visit.said == []


def test_a_page_asks_nobody_but_the_gateway_and_is_always_answered(visit: Visit) -> None:
    own = re.compile(rf"((http|ws)://{re.escape(HOST)}/api/|data:|blob:http://{re.escape(HOST)}/)")
    assert len(visit.requests) > 5
    for made in visit.requests:
        assert own.match(made["url"]), made
        assert "failure" not in made, made
        assert made["status"] < 400, made


def test_a_picture_of_each_page_is_kept(visit: Visit) -> None:
    """`DOKPLOY_GOLDEN=write` takes it anew; nothing holds it to what the page looks like today."""
    kept = PICTURES / f"{visit.page}.png"
    if os.environ.get("DOKPLOY_GOLDEN") == "write":
        shutil.copyfile(visit.picture, kept)
    for picture in (visit.picture, kept):
        data = picture.read_bytes()
        assert data.startswith(b"\x89PNG\r\n")
        assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == SIZE
        assert len(data) < LARGEST


def stricter(policy: str) -> dict[str, str]:
    """By each source that a policy allows beyond the page's own origin: the policy without it."""
    sources = re.findall(r"'sha256-[^']+'|'unsafe-[^']+'|\w+:(?=[\s;]|$)", policy)
    return {source: re.sub(rf"\s{re.escape(source)}(?=[\s;]|$)", "", policy, count=1) for source in sources}


@asynccontextmanager
async def under(policy: str, house: House) -> AsyncIterator[int]:
    """The port of a server that answers what the gateway does, its pages under another policy."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{house.port}") as http:

        async def passed_on(request: Request) -> Response:
            headers = [(name, value) for name, value in request.headers.items() if name not in {"host", "accept-encoding"}]
            answer = await http.request(request.method, request.url.path, headers=headers, content=await request.body())
            response = Response(answer.content, answer.status_code, answer.headers)
            if "content-security-policy" in response.headers:
                response.headers["content-security-policy"] = policy
            return response

        app = Starlette(routes=[Route("/{path:path}", passed_on, methods=["GET", "POST"])])
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await task


@pytest.mark.parametrize(("page", "source"), [(page, source) for page, policy in pages.POLICIES.items() for source in stricter(policy)])
async def test_a_page_needs_each_source_that_its_policy_allows(house: House, page: str, source: str) -> None:
    async with under(stricter(pages.POLICIES[page])[source], house) as port:
        visit = await house.visit(page, port=port)
    assert visit.refused, visit
