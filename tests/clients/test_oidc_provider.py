"""Logins by a provider from outside: the npm package `oidc-provider`, which is certified, by its forms and in Chromium."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

import models
from gateway.embedded.stack import Stack
from gateway.embedded.up import free_port
from models.database import database
from tests.clients.programs import installed, ran, ready, unavailable
from tests.services.gateways import HOST, Gateway, gateways

CLIENT = Path(__file__).parent / "oidc-provider"
BROWSER = Path(__file__).parent / "browser"
SECRET = "a secret: 100% + more"
READY_SECONDS = 30.0
LOGIN_SECONDS = 60.0

pytestmark = pytest.mark.clients


@asynccontextmanager
async def serving(**asked: Any) -> AsyncIterator[None]:
    """The provider, as a process of its own."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("node", "serve.mjs", json.dumps(asked), cwd=CLIENT, stdout=pipe, stderr=None)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            while (line := await process.stdout.readline()).strip() != b"listening":
                assert line, "the provider has ended"
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@dataclass(frozen=True)
class House:
    """A gateway that knows a provider."""

    gateway: Gateway
    end: str
    """The page that logins may end at."""

    @property
    def begin(self) -> str:
        return f"{self.gateway.url}/api/auth/oidc/login?provider=node"

    def browser(self) -> httpx2.AsyncClient:
        """A browser that keeps cookies and goes where it is sent."""
        return httpx2.AsyncClient(follow_redirects=True, timeout=30)

    async def me(self, token: str) -> dict[str, Any]:
        async with self.browser() as http:
            answer = await http.get(f"{self.gateway.url}/api/users/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
async def house(stack: Stack, gateway: object) -> AsyncIterator[House]:
    await ready(CLIENT)
    await database().execute_script("truncate account, team, project, edge_node cascade")
    await models.User.create(username="owner", email="owner@example.com", role=models.GlobalRole.owner)
    port = free_port(HOST, 0)
    provider = {
        "name": "node",
        "label": "Node",
        "issuer": f"http://{HOST}:{port}",
        "insecure": True,
        "clientId": "dokploy",
        "clientSecret": SECRET,
        "emailDomains": ["corp.example"],
        "roleClaim": "groups",
        "roles": {"boss-group": "admin"},
    }
    end = f"http://{HOST}:{port}/signed-in"
    async with gateways(stack, 1, DOKPLOY_OIDC=json.dumps([provider]), DOKPLOY_OIDC_REDIRECTS=end, DOKPLOY_RATE_LIMITS="off") as (own,):
        callback = f"{own.url}/api/auth/oidc/callback"
        async with serving(port=port, client_id="dokploy", client_secret=SECRET, redirect_uri=callback):
            yield House(own, end)


async def submitted(http: httpx2.AsyncClient, page: httpx2.Response, **fields: str) -> httpx2.Response:
    """What the form of a page leads to."""
    assert page.status_code == 200, page.text
    action = re.search(r'<form[^>]* action="([^"]+)"', page.text)
    assert action, page.text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', page.text))
    return await http.post(unescape(action[1]), data=hidden | fields)


async def logged_in(http: httpx2.AsyncClient, house: House, name: str) -> httpx2.Response:
    """The answer to somebody who has logged in at the provider and allowed what it asks."""
    consent = await submitted(http, await http.get(house.begin), login=name, password="anything")
    return await submitted(http, consent)


async def test_somebody_logs_in_by_the_forms_and_has_a_session_here(house: House) -> None:
    async with house.browser() as http:
        answer = await logged_in(http, house, "grace")
        assert answer.status_code == 200, answer.text
        assert not [each.name for each in http.cookies.jar if each.name.startswith("dokploy_oidc_")]
    user = answer.json()["user"]
    assert (user["username"], user["email"], user["roles"]) == ("grace", "grace@corp.example", ["member"])
    assert (await house.me(answer.json()["token"]))["id"] == user["id"]


async def test_whom_the_provider_remembers_is_let_in_without_a_form(house: House) -> None:
    async with house.browser() as http:
        first = await logged_in(http, house, "heidi")
        again = await http.get(house.begin)
    assert again.status_code == 200, again.text
    assert again.json()["user"] == first.json()["user"]
    assert again.json()["token"] != first.json()["token"]


async def test_a_group_that_the_userinfo_endpoint_tells_gives_a_role(house: House) -> None:
    async with house.browser() as http:
        answer = await logged_in(http, house, "boss")
    assert answer.json()["user"]["roles"] == ["admin"]


async def test_whoever_cancels_is_told_so(house: House) -> None:
    async with house.browser() as http:
        page = await http.get(house.begin)
        cancel = re.search(r'<a href="([^"]+/abort)"', page.text)
        assert cancel
        answer = await http.get(unescape(cancel[1]))
    assert answer.status_code == 401
    assert "access was denied" in answer.json()["error"]["message"]


async def test_a_code_is_exchanged_once_and_in_the_browser_that_asked_for_it(house: House) -> None:
    async with house.browser() as http, house.browser() as other:
        answer = await logged_in(http, house, "ivan")
        callback = str(answer.url)
        assert (await http.get(callback)).status_code == 401
        assert (await other.get(callback)).status_code == 401
    assert await models.Session.filter(user__username="ivan").count() == 1


async def test_a_login_in_chromium_ends_at_the_page_of_the_frontend(house: House) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        unavailable("NO CHROMIUM: there is no chromium on this machine")
    await installed(BROWSER)
    asked = {"chromium": chromium, "url": f"{house.begin}&redirect={house.end}", "login": "judy", "end": house.end}
    (line,) = await ran("node", "login.mjs", json.dumps(asked), cwd=BROWSER, within=LOGIN_SECONDS)
    told = json.loads(line)
    page, _, fragment = told["url"].partition("#")
    assert page == house.end
    assert not [name for name in told["cookies"] if name.startswith("dokploy_oidc_")]
    assert (await house.me(parse_qs(fragment)["token"][0]))["username"] == "judy"
