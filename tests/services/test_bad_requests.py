"""Requests that no client should send, against a gateway in a process of its own: the right 4xx in the envelope, and no memory for them."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import psutil
import pytest

from gateway.embedded.up import free_port
from tests.services.conftest import Api

MIB = 1024 * 1024
FLAT = 24 * MIB
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A gateway in a process of its own."""

    port: int
    process: psutil.Process

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return int(self.process.memory_info().rss)

    async def raw(self, head: str, body: Iterator[bytes]) -> tuple[int, dict[str, Any], int]:
        """Send bytes until all are sent or an answer comes; its status, its body, and how many bytes were sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        answer, sent = asyncio.create_task(reader.readuntil(b"\r\n\r\n")), 0
        with contextlib.suppress(ConnectionError):
            for chunk in body:
                if answer.done():
                    break
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
                await asyncio.sleep(0)
        told = (await asyncio.wait_for(answer, 20)).decode()
        length = next(int(line.split(":")[1]) for line in told.splitlines() if line.lower().startswith("content-length"))
        content = json.loads(await reader.readexactly(length))
        writer.close()
        return int(told.split()[1]), content, sent


@pytest.fixture(scope="module")
async def server(stack: object) -> AsyncIterator[Server]:
    port = free_port("127.0.0.1", 0)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway.cli", "gateway", "--port", str(port))
    async with httpx2.AsyncClient() as client, asyncio.timeout(READY_SECONDS):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                await client.get(f"http://127.0.0.1:{port}/api/health")
                break
            await asyncio.sleep(0.05)
    yield Server(port, psutil.Process(process.pid))
    process.terminate()
    await process.wait()


def head(api: Api, path: str, *more: str, kind: str = "application/json") -> str:
    fixed = (f"POST /api{path} HTTP/1.1", "Host: test", f"Authorization: Bearer {api.owner.token}", f"Content-Type: {kind}")
    return "\n".join((*fixed, *more))


def chunks(number: int) -> Iterator[bytes]:
    """So many MiB in the chunked coding."""
    chunk = b"x" * MIB
    return (f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for _ in range(number))


@pytest.mark.parametrize("path", ["/projects", "/auth/login", "/graphql", "/v1/projects"])
async def test_a_chunked_body_of_a_gibibyte_is_413_and_is_not_kept(api: Api, server: Server, path: str) -> None:
    before = server.memory
    status, body, sent = await server.raw(head(api, path, "Transfer-Encoding: chunked"), chunks(1024))
    error = body["errors"][0]["extensions"] if path == "/graphql" else body["error"]
    assert (status, error["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert sent < 64 * MIB, "the answer comes while the body is still sent"
    assert server.memory - before < FLAT


async def test_a_body_that_says_it_is_too_large_is_413_before_it_is_sent(api: Api, server: Server) -> None:
    status, body, sent = await server.raw(head(api, "/projects", f"Content-Length: {2**30}"), iter(()))
    assert (status, body["error"]["code"], sent) == (413, "PAYLOAD_TOO_LARGE", 0)


async def test_a_body_nobody_may_send_is_not_read(api: Api, server: Server) -> None:
    stranger = head(api, "/projects", "Transfer-Encoding: chunked").replace(api.owner.token, "forged")
    status, body, _ = await server.raw(stranger, chunks(1024))
    assert (status, body["error"]["code"]) == (401, "INVALID_TOKEN")


async def sent(api: Api, body: bytes, path: str = "/projects", kind: str = "application/json") -> tuple[int, str]:
    answer = await api.owner.call("POST", path, content=body, headers={"Content-Type": kind})
    content = answer.json()
    assert answer.headers["X-Request-ID"]
    return answer.status_code, (content["errors"][0]["extensions"] if "errors" in content else content["error"])["code"]


DEEP = 100_000


@pytest.mark.parametrize("path", ["/projects", "/graphql"])
@pytest.mark.parametrize("body", [b"[" * DEEP, b'{"name":' * DEEP, b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}"], ids=["[", "{", "[]"])
async def test_deeply_nested_json_is_invalid_input(api: Api, path: str, body: bytes) -> None:
    assert await sent(api, body, path) == (400, "INVALID_INPUT")


BROKEN = [
    b"\xff\xfe",
    b'{"name": "\\ud800"}',
    b'{"name": "\xed\xa0\x80"}',
    b"{",
    b"[]",
    b'"x"',
    b"1",
    b"null",
    b'{"name": "a", "name": "b"}',
    b'{"name": NaN}',
]


@pytest.mark.parametrize("body", [*BROKEN, b'{"name": ' + b"9" * 5000 + b"}"], ids=lambda body: body[:24])
async def test_what_is_no_json_object_is_invalid_input(api: Api, body: bytes) -> None:
    status, code = await sent(api, body)
    assert (status, code in ("INVALID_INPUT", "VALIDATION_ERROR")) == (400, True)
    assert code == "INVALID_INPUT" or body.startswith(b'{"name": 9')


@pytest.mark.parametrize("name", ["a\\u0000b", "x" * 10_000])
async def test_text_that_cannot_be_stored_is_a_validation_error(api: Api, name: str) -> None:
    assert await sent(api, f'{{"name": "{name}"}}'.encode()) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""]
)
async def test_another_content_type_is_415(api: Api, kind: str) -> None:
    for path in ("/projects", "/graphql"):
        assert await sent(api, b"{}", path, kind) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", " application/json "])
async def test_json_by_another_spelling_is_json(api: Api, kind: str) -> None:
    assert (await sent(api, b'{"name": "!"}', kind=kind))[1] == "VALIDATION_ERROR"


@pytest.mark.parametrize("limit", ["0", "101", "-1", "abc", "1.5", "", "9" * 5000, "\uff11"])
async def test_a_limit_that_is_none_is_a_validation_error(api: Api, limit: str) -> None:
    for path in ("/projects", "/applications", "/deployments", "/teams", "/users", "/audit"):
        answer = await api.owner.get(path, params={"limit": limit})
        (problem,) = answer.json()["error"]["details"]["errors"]
        assert (answer.status_code, problem["field"]) == (400, "limit")


@pytest.mark.parametrize("id", ["x" * 10_000, "%00", "..%2f..", "%ed%a0%80", "%ff", "a b", "'; drop table project; --"])
async def test_an_id_that_is_none_is_not_found(api: Api, id: str) -> None:
    for path in ("/projects/{}", "/applications/{}/deployments", "/teams/{}/members", "/users/{}"):
        answer = await api.owner.get(path.format(id))
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RESOURCE_NOT_FOUND"), answer.text


async def test_headers_that_are_sent_twice_are_not_guessed_at(api: Api) -> None:
    good = f"Bearer {api.owner.token}"
    twice = await api.client.get("/api/projects", headers=[("Authorization", good), ("Authorization", good)])
    assert (twice.status_code, twice.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    keys = [("Authorization", good), ("Content-Type", "application/json"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await api.client.post("/api/projects", content=b'{"name": "Boat"}', headers=keys)
    assert answer.json()["error"]["details"]["errors"][0]["field"] == "Idempotency-Key"
    kinds = [("Authorization", good), ("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert (await api.client.post("/api/projects", content=b'{"name": "Boat"}', headers=kinds)).status_code == 415


async def test_a_cursor_of_another_list_is_a_validation_error(api: Api) -> None:
    for _ in range(2):
        await api.application(await api.project())
    cursor = (await api.owner.get("/projects?limit=1")).json()["pagination"]["nextCursor"]
    project = (await api.owner.get("/projects?limit=1")).json()["data"][0]["id"]
    for path in ("/applications", f"/projects/{project}/applications", "/teams", "/users", "/audit"):
        answer = await api.owner.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["field"]) == (400, "cursor")


async def test_what_is_wrong_with_the_query_and_the_body_is_told_together(api: Api) -> None:
    answer = await api.owner.post("/projects?page=2", {"name": "!", "colour": "red"})
    assert {each["field"] for each in answer.json()["error"]["details"]["errors"]} == {"page", "name", "colour"}


async def test_where_nothing_is_taken_a_body_says_nothing(api: Api) -> None:
    application = await api.application()
    path = f"/applications/{application['id']}/restart"
    for body in (None, {}):
        assert (await api.owner.post(path, body)).status_code == 409, "it does not run"
    answer = await api.owner.post(path, {"force": True})
    assert answer.json()["error"]["details"]["errors"][0] == {
        "field": "force", "message": "Force is not a known field", "constraint": "unknown", "received": True,
    }  # fmt: skip
    assert await sent(api, b"[", path) == (400, "INVALID_INPUT")


async def test_a_mutation_by_get_is_405_and_says_what_is_allowed(api: Api) -> None:
    answer = await api.owner.get("/graphql", params={"query": 'mutation { createProject(input: {name: "Boat"}) { id } }'})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"
