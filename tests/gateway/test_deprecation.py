"""An operation that will go says so: by headers in REST, by marks in GraphQL and OpenAPI."""

from datetime import date

import pytest
import strawberry
from graphql import print_schema
from starlette.routing import Router
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from gateway import rest
from gateway.middleware import Errors, Headers
from gateway.openapi import document
from gateway.routing import Paths
from schema.access import Role
from schema.context import Context
from schema.fields import WrongDeclaration
from schema.operation import Deprecation
from schema.resource import Resource
from schema.surface import bind, surface

GUIDE = "https://docs.dokploy.com/api/migration-v2"
ENDS = Deprecation(since=date(2024, 12, 31), sunset=date(2025, 12, 31), guide=GUIDE)
HEADERS = {"X-Deprecated": "true", "X-Deprecated-Version": "v1", "X-Sunset": "2025-12-31", "X-Migration-Guide": GUIDE}


@strawberry.type
class Greeting:
    """A word."""

    message: str


greetings = Resource("", plural="greetings", path="/greetings")


@greetings.query("/new", needs=Role.anonymous, view="message")
async def new_greeting(ctx: Context) -> Greeting:
    """Greet."""
    return Greeting(message="Hello")


@greetings.query("/old", needs=Role.anonymous, view="message")
async def old_greeting(ctx: Context, loud: bool = False) -> Greeting:
    """Greet as one used to."""
    return Greeting(message="Hail")


greetings.deprecate(old_greeting, ENDS)
SURFACE = bind((greetings,), ())


@pytest.fixture
def client() -> TestClient:
    routes = Router([Paths(rest.routes(SURFACE))])

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        scope["context"] = Context()
        await routes(scope, receive, send)

    return TestClient(Headers(Errors(admitted)))


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?loud=perhaps", 400)])
def test_each_answer_says_when_it_ends(client: TestClient, query: str, status: int) -> None:
    for prefix in ("/api", "/api/v1"):
        answer = client.get(f"{prefix}/greetings/old{query}")
        assert answer.status_code == status
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_the_others_say_nothing(client: TestClient) -> None:
    answer = client.get("/api/greetings/new")
    assert answer.json() == {"message": "Hello"}
    assert not [name for name in HEADERS if name in answer.headers]


def test_the_documents_mark_it() -> None:
    text = print_schema(SURFACE.schema._schema)
    assert f'@deprecated(reason: "Deprecated since 2024-12-31, may be gone from 2025-12-31: {GUIDE}")' in text
    assert text.count("@deprecated") == 1
    paths = document(SURFACE)["paths"]
    assert paths["/api/greetings/old"]["get"]["deprecated"] is True
    assert "deprecated" not in paths["/api/greetings/new"]["get"]
    described = paths["/api/greetings/old"]["get"]["responses"]["200"]["headers"]
    assert set(HEADERS) <= set(described)


@pytest.mark.parametrize("since", [date(2025, 1, 1), date(2025, 12, 1), date(2026, 1, 1)])
def test_less_than_twelve_months_are_refused(since: date) -> None:
    with pytest.raises(WrongDeclaration, match=r"^greetings\.new_greeting: what is deprecated is kept for twelve months$"):
        greetings.deprecate(new_greeting, Deprecation(since, date(2025, 12, 31), GUIDE))


def test_the_day_counts() -> None:
    for since, sunset in ((date(2025, 3, 31), date(2026, 3, 30)), (date(2025, 1, 29), date(2026, 1, 28))):
        with pytest.raises(WrongDeclaration):
            greetings.deprecate(new_greeting, Deprecation(since, sunset, GUIDE))


def test_the_list_of_a_relation_is_not_deprecated_alone() -> None:
    operation = next(each.operation for each in surface().operations if each.operation.relation)
    with pytest.raises(WrongDeclaration, match="in GraphQL it is a field of a type"):
        operation.chapter.deprecate(operation, ENDS)


def test_a_leap_day_has_a_year_after_it() -> None:
    shelf = Resource("", plural="shelf", path="/shelf")
    found = shelf.query("/old", needs=Role.anonymous, view="message")(new_greeting.handler)
    assert shelf.deprecate(found, Deprecation(date(2024, 2, 29), date(2025, 2, 28), GUIDE)).deprecation is not None
