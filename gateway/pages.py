"""The pages for a browser: Swagger UI, Redoc and GraphiQL, served whole from this package, each under its own Content-Security-Policy."""

import hashlib
from functools import cache
from os import PathLike, stat_result
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC: Final = Path(__file__).parent / "static"
ASSETS: Final = STATIC / "assets"

_ALWAYS: Final = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
_EMPTY: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The style element that Redoc's styled-components add empty, and then fill through the object model."""
_SCROLLBAR: Final = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
"""The style sheet of Redoc's scroll bars."""
_SCROLL_LOCK: Final = "'sha256-Y/huXlwoYkVyQlxwSVcCi1RCDGDCSVBzDt0hYP9qlTc='"
"""What keeps the page behind a dialog or menu of GraphiQL from scrolling."""

POLICIES: Final = {
    "docs": f"{_ALWAYS}; img-src 'self' data:",
    "redoc": f"{_ALWAYS}; style-src 'self' {_EMPTY} {_SCROLLBAR}; img-src 'self' data:; worker-src blob:",
    "graphiql": f"{_ALWAYS}; style-src 'self' {_SCROLL_LOCK}; font-src data:",
}
"""What each page adds is what its vendored files were seen to need, and no more; the hashes belong to these versions of them."""


def routes() -> list[Route]:
    """The documentation pages."""
    pages = {"docs": _docs, "redoc": _redoc}
    return [Route(f"{prefix}/{name}", page) for prefix in ("/api", "/api/v1") for name, page in pages.items()]


def assets() -> Mount:
    """The files that all pages load."""
    return Mount(base(), _Immutable(directory=ASSETS), name="static")


def graphiql() -> Response:
    """GraphiQL, for the GraphQL endpoint to answer a browser's GET with."""
    response = _page("graphiql")
    response.headers["Vary"] = "Accept"
    return response


@cache
def base() -> str:
    """The path the assets are served under; it changes with their content, so a browser may keep them for ever."""
    digest = hashlib.sha256()
    for file in sorted(file for file in ASSETS.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(ASSETS).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return f"/api/static/{digest.hexdigest()[:16]}"


async def _docs(_: Request) -> Response:
    return _page("docs")


async def _redoc(_: Request) -> Response:
    return _page("redoc")


def _page(name: str) -> Response:
    return HTMLResponse(_html(name), headers={"Content-Security-Policy": POLICIES[name], "Cache-Control": "no-cache"})


@cache
def _html(name: str) -> str:
    return (STATIC / "pages" / f"{name}.html").read_text("utf-8").replace("{static}", base())


class _Immutable(StaticFiles):
    def file_response(self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
