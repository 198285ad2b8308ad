"""Circumstances in which an example is sent, by the names that the data give them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import date
from typing import Any

import msgspec
import pytest

from gateway.oidc import documents
from gateway.ratelimit import Limiter, limiter
from models.oidc import providers
from models.settings import settings
from schema.operation import Deprecation
from schema.surface import surface
from tests.contract.state import State
from tests.services.hostile_provider import Hostile, hostile
from tests.services.limits import limit_to


@asynccontextmanager
async def _limited(state: State) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings().__dict__, "rate_limits", None)
        await limit_to("{}")
        yield


@asynccontextmanager
async def _spent(state: State) -> AsyncIterator[None]:
    async with _limited(state):
        for _ in range(200):
            if (await state.send("admin", "GET /api/users/me")).status_code == 429:
                break
        yield


@asynccontextmanager
async def _without_redis(state: State) -> AsyncIterator[None]:
    async def away(*_: object) -> Any:
        raise ConnectionError("away")

    async with _limited(state):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Limiter, "_counted", away)
            patch.setattr(limiter, "_away_until", 0.0)
            yield


@asynccontextmanager
async def _broken(state: State) -> AsyncIterator[None]:
    async def broken(*_: object) -> Any:
        raise RuntimeError("broken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("schema.plan.view.View.read", broken)
        yield


@asynccontextmanager
async def _https(state: State) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings().__dict__, "public_url", "https://dokploy.example.com")
        yield


@asynccontextmanager
async def _deprecated(state: State) -> AsyncIterator[None]:
    ends = Deprecation(since=date(2024, 12, 31), sunset=date(2025, 12, 31), guide="https://docs.dokploy.com/api/migration-v2")
    bound = next(each for each in surface().operations if each.operation.id == "projects.list")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(bound.__dict__, "operation", replace(bound.operation, deprecation=ends))
        yield


@asynccontextmanager
async def _with_provider(state: State) -> AsyncIterator[Hostile]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_kept", {})
        async with hostile() as provider:
            given = provider.settings(name="google", linkByEmail=True)
            patch.setitem(settings().__dict__, "oidc", providers(msgspec.json.encode([given]).decode()))
            yield provider


@asynccontextmanager
async def _from_provider(state: State) -> AsyncIterator[None]:
    """The administrator has logged in there, and is on the way back with a code, a state and a cookie."""
    async with _with_provider(state) as provider:
        provider.says(email="admin@example.com")
        begun = await state.send("anonymous", "GET /api/auth/oidc/login", params={"provider": "google"})
        state.names |= provider.authorized(begun.headers["location"])
        state.names["cookie"] = begun.headers["set-cookie"].partition(";")[0]
        yield


CIRCUMSTANCES: dict[str, Callable[[State], AbstractAsyncContextManager[Any]]] = {
    "": lambda _: nullcontext(),
    "the standard limits": _limited,
    "no requests left": _spent,
    "Redis is away": _without_redis,
    "a fault of ours": _broken,
    "https is public": _https,
    "listing projects is deprecated": _deprecated,
    "there is an OpenID provider": _with_provider,
    "a login at an OpenID provider": _from_provider,
}
