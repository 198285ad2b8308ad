"""What every answer carries, whose pages may call, and plain HTTP where https is asked for."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from models.settings import settings
from tests.services.conftest import PASSWORD, Api

SECURITY = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Content-Security-Policy": "default-src 'self'",
}
ORIGIN = "https://app.dokploy.com"


@pytest.fixture
def set_to() -> Iterator[Any]:
    """Change settings for one test."""
    known = settings().__dict__
    before = dict(known)
    yield lambda **changed: known.update(type(settings())(**changed).__dict__ | {"rate_limits": None} | _servers(before))
    known.clear()
    known.update(before)


def _servers(before: dict[str, Any]) -> dict[str, Any]:
    return {name: before[name] for name in ("database_url", "redis_url", "data")}


ANSWERS = [
    ("GET", "/health", 200, {}),
    ("POST", "/auth/login", 200, {"json": {"username": "owner", "password": PASSWORD}}),
    ("POST", "/auth/login", 400, {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    ("POST", "/auth/login", 413, {"content": b"x" * 1_100_000, "headers": {"Content-Type": "application/json"}}),
    ("POST", "/auth/login", 415, {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
    ("GET", "/projects", 401, {}),
    ("GET", "/projects", 401, {"headers": {"Authorization": "Bearer forged"}}),
    ("GET", "/nothing", 404, {}),
    ("DELETE", "/health", 405, {}),
    ("OPTIONS", "/projects", 405, {}),
    ("POST", "/graphql", 400, {"json": {"query": "{"}}),
    ("GET", "/openapi.json", 200, {}),
]


@pytest.mark.parametrize(("method", "path", "status", "options"), ANSWERS)
async def test_every_answer_has_a_request_id_and_the_security_headers(
    api: Api, method: str, path: str, status: int, options: dict[str, Any]
) -> None:
    for prefix in ("", "/v1"):
        answer = await api.anonymous.call(method, f"{prefix}{path}", **options)
        assert answer.status_code == status, answer.text
        assert {name: answer.headers.get_list(name) for name in SECURITY} == {name: [value] for name, value in SECURITY.items()}
        assert len(answer.headers.get_list("X-Request-ID")) == 1


async def test_an_internal_error_has_them_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("schema.plan.view.View.read", broken)
    answer = await api.owner.get("/projects", headers={"X-Request-ID": "sane-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert "inside" not in answer.text
    assert answer.headers["X-Request-ID"] == answer.json()["error"]["requestId"] == "sane-1"
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/v1/docs", "/v1/redoc"])
async def test_a_page_keeps_its_own_policy(api: Api, path: str) -> None:
    answer = await api.anonymous.get(path)
    (policy,) = answer.headers.get_list("Content-Security-Policy")
    assert policy.startswith("default-src 'self';")
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "é", '"', "<script>"])
async def test_a_request_id_that_is_not_sane_is_replaced(api: Api, given: str) -> None:
    answer = await api.anonymous.get("/nothing", headers={"X-Request-ID": given.encode("utf-8")})
    assert answer.headers["X-Request-ID"].startswith("req-")
    assert answer.json()["error"]["requestId"] == answer.headers["X-Request-ID"]


async def test_a_page_of_an_allowed_origin_may_call(api: Api) -> None:
    answer = await api.owner.get("/projects", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    for one in (answer, await api.anonymous.get("/openapi.json")):
        assert "Origin" in one.headers["Vary"]
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID", "X-Deprecated", "X-Sunset"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/projects", "/nothing", "/graphql"])
async def test_a_preflight_says_what_the_specification_says(api: Api, path: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    answer = await api.anonymous.call("OPTIONS", path, headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert answer.headers["Access-Control-Max-Age"] == "3600"
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key"} <= set(allowed)
    assert answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://app.dokploy.com", f"{ORIGIN}:444"])
async def test_a_page_of_another_origin_may_not(api: Api, origin: str) -> None:
    for method, asked in (("GET", {}), ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
        answer = await api.owner.call(method, "/projects", headers={"Origin": origin, **asked})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_an_error_may_be_read_by_an_allowed_origin_too(api: Api) -> None:
    answer = await api.anonymous.get("/projects", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)


async def test_origins_are_a_setting(api: Api, set_to: Any) -> None:
    set_to(cors_origins="https://one.example, https://two.example")
    for origin, allowed in (("https://one.example", True), ("https://two.example", True), (ORIGIN, False)):
        answer = await api.owner.get("/projects", headers={"Origin": origin})
        assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


async def test_plain_http_is_sent_to_the_public_url(api: Api, set_to: Any) -> None:
    set_to(public_url="https://dokploy.example")
    for method in ("GET", "POST", "DELETE"):
        answer = await api.owner.call(method, "/projects?limit=1&search=a%20b")
        assert (answer.status_code, answer.content) == (301, b"")
        assert answer.headers["Location"] == "https://dokploy.example/api/projects?limit=1&search=a%20b"
        assert answer.headers["Strict-Transport-Security"]
    odd = await api.owner.get("/a%0d%0aSet-Cookie:%20x/%c3%a9")
    assert odd.headers["Location"] == "https://dokploy.example/api/a%0D%0ASet-Cookie:%20x/%C3%A9"


async def test_https_is_served_and_so_is_a_probe(api: Api, set_to: Any, gateway: httpx2.AsyncClient) -> None:
    set_to(public_url="https://dokploy.example")
    assert (await gateway.get("https://test/api/projects", headers=api.owner.headers)).status_code == 200
    assert (await api.anonymous.get("/health")).status_code == 200


async def test_a_forwarded_scheme_counts_from_a_trusted_proxy_only(api: Api, set_to: Any) -> None:
    forwarded = {"X-Forwarded-Proto": "https"}
    set_to(public_url="https://dokploy.example")
    assert (await api.owner.get("/projects", headers=forwarded)).status_code == 301
    set_to(public_url="https://dokploy.example", trusted_proxies="10.0.0.0/8,127.0.0.1")
    assert (await api.owner.get("/projects", headers=forwarded)).status_code == 200
    assert (await api.owner.get("/projects")).status_code == 301


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        ("", "198.51.100.7", "127.0.0.1"),
        ("10.0.0.0/8", "198.51.100.7", "127.0.0.1"),
        ("127.0.0.0/8", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.0/8", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.0/8,10.0.0.0/8", "198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("127.0.0.0/8", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.0/8", "::ffff:198.51.100.7", "198.51.100.7"),
        ("127.0.0.0/8", "nonsense", "127.0.0.1"),
        ("127.0.0.0/8", "", "127.0.0.1"),
    ],
)
async def test_a_forwarded_address_counts_from_a_trusted_proxy_only(
    api: Api, set_to: Any, proxies: str, forwarded: str, address: str
) -> None:
    set_to(trusted_proxies=proxies)
    await api.owner.post("/projects", {"name": "Boat"}, headers={"X-Forwarded-For": forwarded} if forwarded else {})
    (entry,) = (await api.owner.get("/audit?action=projects.create")).json()["data"]
    assert entry["address"] == address


@pytest.mark.parametrize("url", ["dokploy.example", "ftp://x", "https://", "https://x/", "https://x/api", "https://x?y"])
def test_a_public_url_is_an_origin(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_PUBLIC_URL", url)
    with pytest.raises(ValueError, match="public_url"):
        type(settings())()
