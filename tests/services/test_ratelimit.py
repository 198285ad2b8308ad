"""Rate limits: three tiers, a bucket and a window, the four headers, and what happens without Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

import httpx2
import pytest
from redis.asyncio import Redis

import models
from gateway import ratelimit
from models.limits import allowances
from models.settings import Settings, settings
from schema.context import Caller, Context
from tests.services.conftest import PASSWORD, Api, Person

NAMES = ("limit", "remaining", "reset", "used")


def standing(answer: httpx2.Response) -> dict[str, int]:
    return {name: int(answer.headers[f"X-RateLimit-{name}"]) for name in NAMES}


async def burst(person: Person, number: int, path: str = "/users/me") -> list[httpx2.Response]:
    return [await person.get(path) for _ in range(number)]


async def test_each_answer_says_how_the_caller_stands(limited: Any, api: Api) -> None:
    began = int(time.time())
    first, second = [standing(answer) for answer in await burst(api.owner, 2)]
    assert (first["limit"], first["remaining"], first["used"]) == (100, 99, 1)
    assert second["remaining"] <= 99
    assert second["used"] == 100 - second["remaining"]
    assert began < first["reset"] <= began + 5


@pytest.mark.parametrize("path", ["/nothing", "/projects/none", "/projects?limit=0", "/graphql?query={"])
async def test_failures_are_counted_too(limited: Any, api: Api, path: str) -> None:
    answer = await api.owner.get(path)
    assert answer.status_code >= 400
    assert standing(answer)["remaining"] == 99


async def test_an_anonymous_caller_has_10_a_minute_and_then_429(limited: Any, api: Api) -> None:
    answers = await burst(api.anonymous, 10, "/nothing")
    assert [answer.status_code for answer in answers] == [404] * 10
    refused = await api.anonymous.get("/nothing")
    error = refused.json()["error"]
    wait = int(refused.headers["Retry-After"])
    assert (refused.status_code, error["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert error["message"] == f"Rate limit exceeded. Try again in {wait} seconds"
    assert 1 <= wait <= 6, "a token comes every six seconds"
    assert (error["details"]["limit"], error["details"]["remaining"]) == (10, 0)
    reset = datetime.fromisoformat(error["details"]["resetAt"]).timestamp()
    assert reset == int(refused.headers["X-RateLimit-Reset"])
    assert 50 < reset - time.time() <= 61


async def test_a_refused_request_is_not_done(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"limit": 1}}')
    first, second = [await api.owner.post("/projects", {"name": name}) for name in ("One", "Two")]
    assert (first.status_code, second.status_code) == (201, 429)
    assert await models.Project.all().count() == 1


async def test_an_unusable_token_is_counted_against_the_address(limited: Any, api: Api) -> None:
    forged = Person(api.client, token="forged")
    answers = await burst(forged, 11)
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert (await api.owner.get("/users/me")).status_code == 200, "who is logged in is counted by themselves"


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("198.51.100.7", "address:198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "address:2001:db8:1:2::/64"),
        ("", "address:"),
        ("testclient", "address:testclient"),
    ],
)
def test_an_address_has_a_bucket_and_a_network_of_ipv6_has_one(address: str, bucket: str) -> None:
    assert ratelimit.whose(Context(address=address)) == bucket


async def test_a_premium_caller_has_500_a_minute(limited: Any, api: Api) -> None:
    await models.User.filter(id=api.owner.id).update(tier=models.RateTier.premium)
    assert standing(await api.owner.get("/users/me"))["limit"] == 500


async def test_tokens_come_back_with_time(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"limit": 60, "burst": 1000}}')
    answers = await burst(api.owner, 64)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    await asyncio.sleep(int(refused[-1].headers["Retry-After"]) + 0.05)
    assert (await api.owner.get("/users/me")).status_code == 200


async def test_the_window_holds_a_burst_that_the_bucket_would_let_in(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"limit": 6000, "burst": 5}}')
    answers = await burst(api.owner, 6)
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert 55 <= int(answers[-1].headers["Retry-After"]) <= 60, "until the oldest of the five is a minute old"
    assert [standing(answer)["remaining"] for answer in answers] == [4, 3, 2, 1, 0, 0]


async def test_callers_at_once_get_no_more_than_their_limit(limited: Any, api: Api) -> None:
    await limited('{"anonymous": {"limit": 30, "burst": 40}}')
    answers = await asyncio.gather(*[api.anonymous.get("/nothing") for _ in range(60)])
    codes = [answer.status_code for answer in answers]
    assert codes.count(404) <= 40
    assert codes.count(404) + codes.count(503) >= 30, "who is not logged in is not let in uncounted when a slow machine gives Redis up"
    assert set(codes) <= {404, 429, 503}


async def test_a_clock_that_goes_back_takes_nothing_away(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"limit": 30, "burst": 40}}')
    async with Redis.from_url(settings().redis_url) as client:
        later = int(time.time() * 1000) + 5000
        await client.hset(f"dokploy:rate:{{user:{api.owner.id}}}:bucket", mapping={"tokens": 1, "at": later})
    assert [(await api.owner.get("/users/me")).status_code for _ in range(2)] == [200, 429]


async def test_what_is_not_counted_says_nothing_about_it(limited: Any, api: Api) -> None:
    await limited('{"anonymous": {"limit": 1, "burst": 1}}')
    for path in ("/health", "/v1/health", "/openapi.json") * 3:
        answer = await api.anonymous.get(path)
        assert (answer.status_code, "X-RateLimit-Limit" in answer.headers) == (200, False)
    assert (await api.anonymous.call("OPTIONS", "/projects", headers={"Origin": "https://app.dokploy.com"})).status_code != 429


async def test_each_root_field_of_a_document_counts(limited: Any, api: Api) -> None:
    query = {"query": "{ a: me { id } b: me { id } ...C } fragment C on Query { c: me { id } a: me { id } }"}
    first = standing(await api.owner.post("/graphql", query))
    assert first["used"] == 4, "three fields, and one for a document that was never seen"
    await limited("{}")
    assert standing(await api.owner.post("/graphql", query))["used"] == 3


async def test_a_document_beyond_the_limit_is_429_in_the_words_of_graphql(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"limit": 4}}')
    query = "mutation { " + " ".join(f'p{n}: createProject(input: {{name: "Boat{n}"}}) {{ id }}' for n in range(5)) + " }"
    answer = await api.owner.post("/graphql", {"query": query})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert error["extensions"]["details"]["limit"] == 4
    assert await models.Project.all().count() == 0


@pytest.fixture
async def without_redis(limited: Any) -> AsyncIterator[None]:
    """A gateway that cannot reach Redis; the others of this test still do."""

    async def broken(*_: object, **__: object) -> Any:
        raise ConnectionError("away")

    original = ratelimit.Limiter._counted
    ratelimit.Limiter._counted = broken  # type: ignore[method-assign]
    yield
    ratelimit.Limiter._counted = original  # type: ignore[method-assign]


async def test_without_redis_whoever_is_logged_in_passes_and_nobody_else(without_redis: None, api: Api) -> None:
    answer = await api.owner.get("/users/me")
    assert (answer.status_code, "X-RateLimit-Limit" in answer.headers) == (200, False)
    login = await api.anonymous.post("/auth/login", {"username": "owner", "password": PASSWORD})
    assert (login.status_code, login.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert login.headers["Retry-After"]
    assert (await api.anonymous.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "text", ["on", "[]", '{"gold": {"limit": 1}}', '{"premium": {"limit": 0}}', '{"premium": {"limit": "x"}}', '{"premium": {"rate": 5}}']
)
def test_limits_that_make_no_sense_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_RATE_LIMITS", text)
    with pytest.raises(ValueError, match="rate_limits"):
        Settings()


async def test_a_redis_that_does_not_answer_is_asked_by_one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    async def silent(**_: object) -> None:
        asked.append(time.monotonic())
        await asyncio.sleep(0.2)
        raise OSError("no answer")

    monkeypatch.setitem(settings().__dict__, "rate_limits", allowances(""))
    monkeypatch.setattr(ratelimit, "PATIENCE", 0.3)
    found = ratelimit.Limiter()
    found._script = cast("Any", silent)
    known = Context(Caller(uuid4(), models.GlobalRole.member))
    for _ in range(10):
        await asyncio.gather(*[found.take(known) for _ in range(20)])
        await asyncio.sleep(0.05)
    assert 20 <= len(asked) <= 24, "all at first, who did not know yet; then one at a time"
