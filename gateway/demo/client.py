"""A small client of the API for the demo: REST for what is done, the subscription for what is watched."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

EVENTS = """subscription ($id: ID!, $after: Int!) {
  deploymentEvents(deploymentId: $id, afterSeq: $after) { seq kind status stage progress level message }
}"""


class Refused(Exception):
    """The API refused what the demo asked for."""


class Unreachable(Exception):
    """The API does not answer, or not as an HTTP server would."""


class Client:
    """Somebody who uses the API at `url` (`http://host:port`)."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx2.AsyncClient(base_url=f"{url}/api", timeout=30)
        self.token = ""
        """Of whoever has logged in."""

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def log_in(self, username: str, password: str) -> None:
        """Register the first user if that is still to be done, and log in. Raises `Refused` and `Unreachable`."""
        account = {"username": username, "password": password}
        with _reached("POST /auth/register"):
            await self._http.post("/auth/register", json=account | {"email": f"{username}@example.com"})
        self.token = (await self.post("/auth/login", account))["token"]

    async def post(self, path: str, body: Any = None) -> dict[str, Any]:
        """What a POST answers. Raises `Refused` and `Unreachable`."""
        return await self._call("POST", path, body)

    async def get(self, path: str) -> dict[str, Any]:
        """What a GET answers. Raises `Refused` and `Unreachable`."""
        return await self._call("GET", path)

    async def delete(self, path: str) -> None:
        """Delete something. Raises `Refused` and `Unreachable`."""
        await self._call("DELETE", path)

    async def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with _reached(f"{method} {path}"):
            answer = await self._http.request(method, path, json=body, headers=headers)
        if answer.status_code >= 400:
            raise Refused(f"{method} {path}: {answer.text}")
        return dict(answer.json()) if answer.content else {}

    async def follow(self, deployment: str) -> AsyncIterator[dict[str, Any]]:
        """The events of a deployment, to its last. Raises `Refused` and `Unreachable`."""
        url = f"{self._url.replace('http', 'ws', 1)}/api/graphql"
        with _reached("the subscription"):
            async for event in self._events(url, deployment):
                yield event

    async def _events(self, url: str, deployment: str) -> AsyncIterator[dict[str, Any]]:
        async with connect(url, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            await socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {self.token}"}}))
            await socket.recv()
            payload = {"query": EVENTS, "variables": {"id": deployment, "after": 0}}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "complete":
                    return
                if frame["type"] != "next" or frame["payload"].get("errors"):
                    raise Refused(str(text))
                yield frame["payload"]["data"]["deploymentEvents"]


@contextmanager
def _reached(what: str) -> Iterator[None]:
    """Raises `Unreachable` for whatever goes wrong between us and the server."""
    try:
        yield
    except (httpx2.HTTPError, WebSocketException, OSError) as error:
        raise Unreachable(f"{what}: no answer: {str(error) or type(error).__name__}") from error
