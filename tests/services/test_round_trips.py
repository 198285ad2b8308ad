"""What a request costs: one statement to know the caller, one for the page, and one look at Redis."""

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from redis.asyncio.client import Redis

from tests.services.conftest import Api


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that goes to Postgres, and every command that goes to Redis."""
    found: list[str] = []
    execute, command = asyncpg.Connection._execute, Redis.execute_command

    async def counted(self: Any, query: str, *rest: Any, **more: Any) -> Any:
        found.append(" ".join(query.split())[:40])
        return await execute(self, query, *rest, **more)

    async def commanded(self: Any, *arguments: Any, **more: Any) -> Any:
        found.append(str(arguments[0]))
        return await command(self, *arguments, **more)

    monkeypatch.setattr(asyncpg.Connection, "_execute", counted)
    monkeypatch.setattr(Redis, "execute_command", commanded)
    return found


@pytest.mark.parametrize(
    "path",
    [
        *("/applications", "/applications?limit=100&sort=name", "/deployments", "/databases", "/projects", "/teams", "/users?limit=1"),
        "/audit",
    ],
)
async def test_a_page_costs_one_statement_beside_the_session(api: Api, trips: list[str], path: str) -> None:
    for _ in range(3):
        await api.application()
        await api.database()
    await api.owner.get(path)
    trips.clear()
    assert (await api.owner.get(path)).status_code == 200
    batches = 1 if path.startswith("/users") else 0
    assert len(trips) == 2 + batches, trips
    assert trips[0].startswith("select u.id, u.role")


async def test_a_member_costs_one_more_for_what_they_may_see(api: Api, trips: list[str]) -> None:
    person = await api.person()
    await person.get("/applications")
    trips.clear()
    await person.get("/applications")
    assert [each.split(" ")[0] for each in trips] == ["select", "select"], "a page of nothing is not asked for"


async def test_a_request_is_counted_with_one_look_at_redis(limited: Any, api: Api, trips: list[str]) -> None:
    await api.owner.get("/applications")
    trips.clear()
    await api.owner.get("/applications")
    assert [each for each in trips if each.isupper()] == ["EVALSHA"]


async def test_a_scrape_costs_a_statement_for_the_counts_and_one_for_the_edges(
    limited: Any, api: Api, scraped: dict[str, str], trips: list[str]
) -> None:
    await api.application()
    await api.client.get("/api/metrics/prometheus", headers=scraped)
    trips.clear()
    assert (await api.client.get("/api/metrics/prometheus", headers=scraped)).status_code == 200
    assert [each.split(",")[0] for each in trips] == ["select name", "select name"]
