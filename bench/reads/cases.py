"""What is asked of whom, what the answers have in common, and the bounds."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from bench.reads.data import Data

REST, GRAPHQL = "product REST", "product GraphQL"
HAND, FASTAPI, MERCURIUS, STOCK = "handwritten", "FastAPI", "mercurius", "stock"

_FIELDS = "id name projectId image status replicas healthStatus createdAt lastDeployment { id status createdAt }"
MICROSECONDS = re.compile(rb'(?<=\.\d{3})\d{3}(?=Z")')
PAGE = f"{{ applications(first: 20) {{ nodes {{ {_FIELDS} }} pageInfo {{ hasNextPage endCursor }} totalCount }} }}"
BY_ID = f"query ($id: ID!) {{ application(id: $id) {{ {_FIELDS} }} }}"
THREE_LEVELS = """{
    projects(first: 10) { nodes { id name applications(first: 10) { nodes { id name status createdAt
        lastDeployment { id status createdAt } } } } }
}"""


@dataclass(frozen=True)
class Asked:
    """A request; `body` is sent as JSON by POST, without one it is a GET."""

    path: str
    body: Any = None

    def encoded(self, token: str) -> bytes:
        """The bytes of the whole request."""
        body = b"" if self.body is None else json.dumps(self.body).encode()
        method = "GET" if self.body is None else "POST"
        lines = [f"{method} {self.path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}"]
        lines += [] if self.body is None else ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Contestant:
    """A server in a case: its name in the table, what it is asked in turn, and what of its answer can be compared."""

    label: str
    server: str
    requests: Sequence[Asked]
    items: Callable[[Any], Any]
    alike: Callable[[Any, Any], bool] = lambda found, expected: bool(found == expected)
    """Whether its items are what the handwritten server's are."""


@dataclass(frozen=True)
class Case:
    """One measurement: the first contestant against each other one; `bounds` are ratios of requests per second."""

    name: str
    title: str
    person: str
    contestants: Sequence[Contestant]
    bounds: dict[str, float] = field(default_factory=dict)


def _same_ids(found: Any, expected: Any) -> bool:
    """FastAPI prints times in its own way, and only a page's fields by id."""
    if isinstance(found, dict):
        return bool(found["id"] == expected["id"])
    return [each["id"] for each in found] == [each["id"] for each in expected]


def _same_milliseconds(found: Any, expected: Any) -> bool:
    """JavaScript's times have no microseconds; everything else is to be equal."""
    return bool(found == msgspec.json.decode(MICROSECONDS.sub(rb"", msgspec.json.encode(expected))))


def _document(query: str, **variables: Any) -> Asked:
    return Asked("/api/graphql", {"query": query, "variables": variables} if variables else {"query": query})


def _page(answer: Any) -> Any:
    if set(answer["pagination"]) != {"hasMore", "nextCursor", "prevCursor", "total", "totalCapped"}:
        raise KeyError("pagination")
    return answer["data"]


def _without_links(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "_links"}


def _nodes(answer: Any) -> Any:
    page = answer["data"]["applications"]
    if not isinstance(page["totalCount"], int) or set(page["pageInfo"]) != {"hasNextPage", "endCursor"}:
        raise KeyError("pageInfo")
    return page["nodes"]


def _tree(answer: Any) -> Any:
    return [project | {"applications": project["applications"]["nodes"]} for project in answer["data"]["projects"]["nodes"]]


def _graphql(hand: Contestant, items: Callable[[Any], Any], *requests: Asked) -> list[Contestant]:
    named = ((GRAPHQL, "product"), (MERCURIUS, "mercurius"), (STOCK, "stock"))
    product, mercurius, stock = (Contestant(label, server, requests, items) for label, server in named)
    return [product, hand, replace(mercurius, alike=_same_milliseconds), stock]


def cases(data: Data) -> list[Case]:
    """All cases; the ones with bounds are the owner's, who sees everything."""
    page, ids = [Asked("/api/applications?limit=20")], data.ids
    by_id = [Asked(f"/api/applications/{id}") for id in ids]
    rest = [Contestant(REST, "product", page, _page), Contestant(HAND, "handwritten", page, _page)]
    bare_page = Contestant(HAND, "handwritten", page, lambda answer: [_without_links(each) for each in _page(answer)])
    bare_item = Contestant(HAND, "handwritten", [Asked(f"/items/{id}") for id in ids], _without_links)
    nested = Contestant(HAND, "handwritten", [Asked("/nested")], lambda answer: answer)
    found = [
        Case(
            "rest-page",
            "REST, a page of 20",
            "owner",
            [*rest, Contestant(FASTAPI, "fastapi", page, _page, _same_ids)],
            {HAND: 0.95, FASTAPI: 6.0},
        ),
        Case(
            "rest-by-id",
            "REST, by id",
            "owner",
            [
                Contestant(REST, "product", by_id, lambda answer: answer),
                Contestant(HAND, "handwritten", by_id, lambda answer: answer),
                Contestant(FASTAPI, "fastapi", by_id, lambda answer: answer, _same_ids),
            ],
            {HAND: 0.90, FASTAPI: 4.0},
        ),
        Case(
            "graphql-page",
            "GraphQL, a page of 20",
            "owner",
            _graphql(bare_page, _nodes, _document(PAGE)),
            {HAND: 0.90, MERCURIUS: 1.4, STOCK: 20.0},
        ),
        Case(
            "graphql-by-id",
            "GraphQL, by id",
            "owner",
            _graphql(bare_item, lambda answer: answer["data"]["application"], *(_document(BY_ID, id=id) for id in ids)),
            {HAND: 0.85, MERCURIUS: 1.0, STOCK: 20.0},
        ),
        Case(
            "graphql-levels",
            "GraphQL, three levels of 10, 10 and 1",
            "owner",
            _graphql(nested, _tree, _document(THREE_LEVELS)),
            {HAND: 0.95, MERCURIUS: 1.4, STOCK: 40.0},
        ),
    ]
    return found + [
        Case(f"{person}-page", f"REST, a page of 20, by {who}", person, rest)
        for person, who in (
            ("member", "a member who sees one project"),
            ("idle", "the owner of an idle project"),
            ("stranger", "a stranger"),
        )
    ]
