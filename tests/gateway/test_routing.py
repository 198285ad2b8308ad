"""Paths lead to endpoints by their segments."""

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.testclient import TestClient

from gateway.middleware import Errors, Headers
from gateway.routing import Paths


async def _shown(request: Request) -> Response:
    return JSONResponse({"shown": request.path_params})


async def _made(request: Request) -> Response:
    return JSONResponse({"made": request.path_params})


ROUTES = (
    Route("/things", _shown),
    Route("/things", _made, methods=["POST"]),
    Route("/things/new", _made),
    Route("/things/{id}", _shown),
    Route("/things/{id}/parts/{part}", _shown),
)


@pytest.fixture
def client() -> TestClient:
    return TestClient(Headers(Errors(Router([Paths(ROUTES)]))))


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/things", {"shown": {}}),
        ("POST", "/things", {"made": {}}),
        ("GET", "/things/new", {"made": {}}),
        ("GET", "/things/7", {"shown": {"id": "7"}}),
        ("GET", "/things/a%20b", {"shown": {"id": "a b"}}),
        ("GET", "/things/7/parts/8", {"shown": {"id": "7", "part": "8"}}),
    ],
)
def test_a_path_leads_to_its_endpoint_by_method(client: TestClient, method: str, path: str, answer: object) -> None:
    assert client.request(method, path).json() == answer


@pytest.mark.parametrize("path", ["/", "/thing", "/things/7/parts", "/things/7/parts/8/9", "/things//parts/8", "/things/new/parts/8"])
def test_where_no_path_leads_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_another_method_is_told_which_there_are(client: TestClient) -> None:
    answer = client.delete("/things")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


def test_a_slash_at_the_end_is_redirected(client: TestClient) -> None:
    answer = client.get("/things/7/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "http://testserver/things/7")


def test_two_paths_may_not_call_an_id_differently() -> None:
    with pytest.raises(ValueError, match="calls this id id"):
        Paths([*ROUTES, Route("/things/{thing}/size", _shown)])
