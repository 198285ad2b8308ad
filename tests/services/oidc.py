"""Browsers that log in by an OpenID provider, and the settings under which they do."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
import pytest

import models
from gateway.oidc import documents
from models.oidc import providers
from models.settings import settings
from tests.contract.answers import conform
from tests.services.conftest import Api
from tests.services.hostile_provider import Hostile, hostile

PAGE = "https://app.example/signed-in"


@dataclass
class House:
    """The gateway, and a provider that it knows as `corp`."""

    api: Api
    provider: Hostile
    patch: pytest.MonkeyPatch
    known: list[dict[str, Any]] = field(default_factory=list)

    def configure(self, **more: Any) -> None:
        """Say something else of the provider in the settings."""
        self.set(self.provider.settings(**more))

    def set(self, *given: dict[str, Any]) -> None:
        """Know these providers."""
        self.patch.setitem(settings().__dict__, "oidc", providers(msgspec.json.encode(given).decode()))

    def browser(self) -> "Browser":
        """A browser without cookies."""
        return Browser(self.provider, httpx2.AsyncClient(transport=self.api.client._transport, base_url="http://test"))

    async def login(self, **asked: str) -> httpx2.Response:
        """The answer to a whole login in a new browser."""
        return await self.browser().login(**asked)

    async def accounts(self) -> list[str]:
        """The user names there are, but for the owner's."""
        return [each.username for each in await models.User.exclude(username="owner").order_by("id")]

    async def sessions(self) -> int:
        """How many sessions there are beside the owner's."""
        return await models.Session.all().count() - 1


@dataclass
class Browser:
    """A browser with cookies of its own."""

    provider: Hostile
    client: httpx2.AsyncClient

    async def get(self, path: str, **query: str) -> httpx2.Response:
        answer = await self.client.get(path, params=query)
        conform(answer)
        return answer

    async def begin(self, **asked: str) -> dict[str, str]:
        """Begin a login, and log in at the provider: what it sends back."""
        answer = await self.get("/api/auth/oidc/login", **({"provider": "corp"} | asked))
        assert answer.status_code == 302, answer.text
        return self.provider.authorized(answer.headers["location"])

    async def back(self, **query: str) -> httpx2.Response:
        """Come back from the provider."""
        return await self.get("/api/auth/oidc/callback", **query)

    async def login(self, **asked: str) -> httpx2.Response:
        return await self.back(**await self.begin(**asked))


@pytest.fixture(scope="module")
async def provider(stack: object) -> AsyncIterator[Hostile]:
    """One provider for all tests of a module; to start and stop one takes longer than most of them."""
    async with hostile() as found:
        yield found


@pytest.fixture
async def house(api: Api, provider: Hostile, monkeypatch: pytest.MonkeyPatch) -> House:
    """A gateway that knows a provider, which does everything right."""
    for name in ("_kept", "_failed", "_turns"):
        monkeypatch.setattr(documents, name, {})
    monkeypatch.setitem(settings().__dict__, "oidc_redirects", frozenset({PAGE}))
    provider.renew()
    found = House(api, provider, monkeypatch)
    found.configure()
    return found


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    """The status and code of an answer that is an error."""
    return answer.status_code, answer.json()["error"]["code"]
