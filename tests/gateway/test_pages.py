import hashlib
import re
from html.parser import HTMLParser

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway import pages

ALWAYS = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
PAGES = {
    "/api/docs": f"{ALWAYS}; img-src 'self' data:",
    "/api/redoc": (
        f"{ALWAYS}; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
        " 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; img-src 'self' data:; worker-src blob:"
    ),
    "/api/graphql": f"{ALWAYS}; style-src 'self' 'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='; font-src data:",
}
VENDOR = pages.ASSETS / "vendor"


async def _graphql(_: Request) -> Response:
    return pages.graphiql()


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=[*pages.routes(), pages.assets(), Route("/api/graphql", _graphql)]))


class Elements(HTMLParser):
    """What a page loads, and the scripts and styles it carries itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            if name in {"src", "srcset", "spec-url", "action", "data"} or (name == "href" and tag == "link"):
                self.loads.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name == "style" or name.startswith("on"):
                self.inline.append(f"{name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_answers_under_its_own_policy(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers.get_list("content-security-policy") == [PAGES[path]]
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers.get("vary") == ("Accept" if path == "/api/graphql" else None)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_carries_no_script_and_loads_only_from_here(client: TestClient, path: str) -> None:
    html = client.get(path).text
    elements = Elements(html)
    assert elements.inline == []
    assert "://" not in html
    assert "{static}" not in html
    assert set(elements.links) == {*PAGES, "/api/openapi.json"} - ({"/api/openapi.json"} if path == "/api/graphql" else set())
    for url in set(elements.loads) - {"/api/openapi.json"}:
        assert url.startswith(f"{pages.base()}/"), url
        assert client.get(url).status_code == 200, url


@pytest.mark.parametrize("path", PAGES)
def test_every_script_waits_for_the_document(client: TestClient, path: str) -> None:
    scripts = re.findall(r"<script[^>]*>", client.get(path).text)
    assert scripts
    assert all(tag.startswith("<script defer src=") for tag in scripts)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("page.css", "text/css"),
        ("graphiql-init.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/redoc-2.5.4/redoc.standalone.js", "text/javascript"),
    ],
)
def test_an_asset_may_be_kept_for_ever(client: TestClient, name: str, content_type: str) -> None:
    response = client.get(f"{pages.base()}/{name}")
    assert response.status_code == 200
    assert response.content == (pages.ASSETS / name).read_bytes()
    assert response.headers["content-type"].startswith(content_type)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = client.get(f"{pages.base()}/{name}", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    "path", ["nothing.js", "../pages/docs.html", "%2e%2e/pages/docs.html", "..%2f..%2fpages.py", "", "vendor/", "a" * 300]
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    response = client.get(f"{pages.base()}/{path}")
    assert response.status_code == 404
    assert "immutable" not in response.headers.get("cache-control", "")


def test_assets_of_another_version_are_not_found(client: TestClient) -> None:
    assert client.get("/api/static/0000000000000000/page.css").status_code == 404
    assert client.get("/api/static/page.css").status_code == 404


def test_vendored_files_are_the_recorded_ones() -> None:
    recorded = {name: digest for digest, name in (line.split("  ") for line in (VENDOR / "SHA256SUMS").read_text().splitlines())}
    found = {file.relative_to(VENDOR).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.glob("*/*")}
    assert found == recorded
    for package in VENDOR.glob("*/"):
        assert (package / "LICENSE").is_file(), package


def test_no_file_names_a_content_delivery_network() -> None:
    for file in pages.STATIC.rglob("*"):
        if file.suffix in {".js", ".css", ".html"}:
            assert not re.search(rb"https?://[^/\"'\s]*(cdn|unpkg|jsdelivr|googleapis|gstatic)[^/\"'\s]*/", file.read_bytes()), file
