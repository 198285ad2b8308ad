"""Pages in every order, walked from end to end, against plain Python: NULL counts as the greatest value, ids break ties."""

import itertools
from collections import Counter
from typing import Any

import pytest

import models
from tests.services.conftest import Api
from tests.services.world import Asker, peopled

WAYS = {"first": ("after", "endCursor", "hasNextPage"), "last": ("before", "startCursor", "hasPreviousPage")}
MOST_PAGES = 100
PAGE_INFO = "pageInfo { startCursor endCursor hasNextPage hasPreviousPage }"


async def walked(ask: Asker, field: str, arguments: str, size: str) -> list[str]:
    """The ids of a list in its own order, gathered in pages of three, in one direction."""
    argument, edge, more = WAYS[size]
    found: list[str] = []
    after: str = ""
    for _ in range(MOST_PAGES):
        data, errors = await ask(f"{{ {field}({size}: 3, {arguments}{after}) {{ nodes {{ id }} {PAGE_INFO} }} }}")
        assert errors == []
        page = data[field]
        ids = [str(each["id"]) for each in page["nodes"]]
        found = found + ids if size == "first" else ids + found
        if not page["pageInfo"][more]:
            return found
        after = f', {argument}: "{page["pageInfo"][edge]}"'
    raise AssertionError("the list has no end")


def ordered(rows: list[Any], column: str, order: str) -> list[str]:
    """Ids by a column."""

    def key(row: Any) -> Any:
        value = getattr(row, column)
        return (value is None, value or 0 if not hasattr(value, "timestamp") else value.timestamp(), row.id)

    return [str(row.id) for row in sorted(rows, key=key, reverse=order == "desc")]


COLUMNS = [("createdAt", "created_at"), ("finishedAt", "finished_at"), ("duration", "duration")]


@pytest.mark.parametrize(("sort", "column"), COLUMNS)
async def test_deployments_by_a_column(api: Api, sort: str, column: str) -> None:
    world = await peopled(api)
    for name, order, size in itertools.product(("owner", "viewer"), ("asc", "desc"), WAYS):
        caller = world.callers[name]
        seen = {row.id for row in world.visible(caller)["deployment"]}
        rows = [row for row in await models.Deployment.all() if row.id in seen]
        assert await walked(Asker(caller), "deployments", f"sort: {sort}, order: {order}", size) == ordered(rows, column, order)


async def test_applications_by_time_with_ties(api: Api) -> None:
    world = await peopled(api)
    for caller, order, size in itertools.product(world.callers.values(), ("asc", "desc"), WAYS):
        seen = {row.id for row in world.visible(caller)["application"]}
        rows = [row for row in await models.Application.all() if row.id in seen]
        assert await walked(Asker(caller), "applications", f"sort: createdAt, order: {order}", size) == ordered(rows, "created_at", order)


async def test_a_filtered_total_stops_at_the_most_that_is_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await peopled(api)
    for module in ("pages", "lists"):
        monkeypatch.setattr(f"schema.plan.{module}.MOST_COUNTED", 5)
    for name in ("owner", "viewer"):
        ask, rows = Asker(world.callers[name]), world.visible(world.callers[name])["application"]
        (many, count), *_ = Counter(row.project_id for row in rows).most_common()
        assert len(rows) > count > 5
        asked = 'applications(first: 1, search: "-") { totalCount totalCapped }'
        data, errors = await ask(f'{{ {asked} project(id: "{many}") {{ {asked} }} }}')
        assert errors == []
        assert data["applications"] == data["project"]["applications"] == {"totalCount": 5, "totalCapped": True}
        data, errors = await ask('{ applications(first: 1, createdFrom: "2999-01-01T00:00:00Z") { totalCount totalCapped } }')
        assert (data["applications"], errors) == ({"totalCount": 0, "totalCapped": False}, [])


async def test_as_many_as_are_counted_are_all_of_them(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await peopled(api)
    rows = world.visible(world.callers["owner"])["application"]
    (many, count), *_ = Counter(row.project_id for row in rows).most_common()
    for module in ("pages", "lists"):
        monkeypatch.setattr(f"schema.plan.{module}.MOST_COUNTED", count)
    asked = 'applications(first: 1, search: "-") { totalCount totalCapped }'
    data, errors = await Asker(world.callers["owner"])(f'{{ {asked} project(id: "{many}") {{ {asked} }} }}')
    assert errors == []
    assert data["project"]["applications"] == {"totalCount": count, "totalCapped": False}
    assert data["applications"] == {"totalCount": count, "totalCapped": True}
