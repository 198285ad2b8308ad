"""A deployment as a browser would see it: started and followed by the npm client `graphql-ws`, against a whole `dokploy up`."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.demo.base_image import ensure_base_image
from gateway.demo.installation import installation
from gateway.demo.play import SAMPLE
from gateway.demo.repository import Repository
from tests.clients.programs import ran, ready
from workers.desired import network_of
from workers.docker import choose
from workers.engine import Engine

CLIENT = Path(__file__).parent / "graphql-ws"
FOLLOW_SECONDS = 120.0
REFUSED_SECONDS = 30.0
RESUMED_SECONDS = 10.0
GONE_SECONDS = 60.0
ACCOUNT = {"username": "owner", "password": "correct horse battery"}

pytestmark = [pytest.mark.clients, pytest.mark.docker]


@dataclass
class Followed:
    """What the client told: the deployment it started, the events it got, and how it ended."""

    deployment: str
    events: list[dict[str, Any]]
    end: dict[str, Any]


@dataclass
class House:
    """An installation with an application that can be deployed, and the client to be tried on it."""

    url: str
    token: str
    application: str

    async def follow(self, *, within: float = FOLLOW_SECONDS, **asked: Any) -> Followed:
        """Let the npm client start or take a deployment and follow it to the end. Raises TimeoutError."""
        wanted = {"url": f"{self.url.replace('http', 'ws', 1)}/api/graphql", "token": self.token} | asked
        told = [json.loads(line) for line in await ran("node", "follow.mjs", json.dumps(wanted), cwd=CLIENT, within=within)]
        started = [line["deployment"] for line in told if "deployment" in line]
        return Followed(next(iter(started), ""), [line["event"] for line in told if "event" in line], told[-1])


@pytest.fixture(scope="module")
async def npm_client() -> None:
    """The client with its packages."""
    await ready(CLIENT)


@pytest.fixture(scope="module")
async def house(npm_client: None) -> AsyncIterator[House]:
    """A fresh installation that knows nothing of the servers other tests use."""
    async with AsyncExitStack() as exit_stack:
        data = Path(tempfile.mkdtemp(prefix="dk-clients-"))
        exit_stack.push_async_callback(asyncio.to_thread, shutil.rmtree, data)
        repository = await asyncio.to_thread(Repository.create, data / "hello.git", SAMPLE)
        git_url = await exit_stack.enter_async_context(repository.serve())
        with pytest.MonkeyPatch.context() as environment:
            for name in [name for name in os.environ if name.startswith("DOKPLOY_")]:
                environment.delenv(name)
            environment.setenv("DOKPLOY_GIT_ALLOWED_HOSTS", git_url.split("/")[2])
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            environment.setenv("DOKPLOY_PORT_RANGE", f"{port}-{port}")
            url = await exit_stack.enter_async_context(installation(data / "stack"))
        await ensure_base_image((await choose()).path)
        yield await _furnished(exit_stack, url, git_url)


async def _furnished(exit_stack: AsyncExitStack, url: str, git_url: str) -> House:
    http = await exit_stack.enter_async_context(httpx2.AsyncClient(base_url=f"{url}/api", timeout=30))
    await _made(http, "/auth/register", ACCOUNT | {"email": "owner@example.com"})
    token = (await _made(http, "/auth/login", ACCOUNT))["token"]
    http.headers["Authorization"] = f"Bearer {token}"
    project = await _made(http, "/projects", {"name": "Clients"})
    source = {"repoUrl": git_url, "branch": "main"}
    body = {"name": "hello", "projectId": project["id"], "ports": [{"containerPort": 8080}], "gitSource": source}
    application = await _made(http, "/applications", body)
    exit_stack.push_async_callback(_deleted, http, application)
    return House(url, token, application["id"])


async def _made(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _deleted(http: httpx2.AsyncClient, application: dict[str, Any]) -> None:
    """Delete the application, and wait until the worker has taken everything of it away. Raises TimeoutError."""
    assert (await http.delete(f"/applications/{application['id']}")).is_success
    label, network = f"dokploy.application={application['id']}", network_of(application["projectId"])
    async with Engine() as engine, asyncio.timeout(GONE_SECONDS):
        while await engine.containers(label) or await engine.images(label) or await engine.network(network):
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def followed(house: House) -> Followed:
    """A deployment that the client has started by the mutation and followed from its first event."""
    return await house.follow(application=house.application)


async def test_the_client_follows_a_deployment_to_its_last_event(followed: Followed) -> None:
    events = followed.events
    assert followed.end == {"complete": True}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    stages = [event["stage"] for event in events if event["stage"]]
    assert list(dict.fromkeys(stages)) == ["cloning", "building", "deploying"]
    assert stages == sorted(stages, key=["cloning", "building", "deploying"].index)
    progress = [event["progress"] for event in events]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0, 100)
    assert (events[-1]["kind"], events[-1]["status"]) == ("status", "success")
    assert {event["kind"] for event in events} == {"status", "queue", "progress", "log"}


async def test_resuming_gives_exactly_the_rest(house: House, followed: Followed) -> None:
    middle = len(followed.events) // 2
    rest = await house.follow(deployment=followed.deployment, afterSeq=middle)
    assert rest.end == {"complete": True}
    assert rest.events == followed.events[middle:]


async def test_resuming_from_the_last_event_completes_at_once(house: House, followed: Followed) -> None:
    rest = await house.follow(deployment=followed.deployment, afterSeq=len(followed.events), within=RESUMED_SECONDS)
    assert rest.end == {"complete": True}
    assert rest.events == []


async def test_a_wrong_token_is_refused(house: House, followed: Followed) -> None:
    refused = await house.follow(deployment=followed.deployment, token=f"{house.token[:-4]}AAAA", within=REFUSED_SECONDS)
    assert refused.events == []
    assert refused.end == {"closed": {"code": 4403, "reason": "INVALID_TOKEN"}}


async def test_a_deployment_that_does_not_exist_is_an_error_with_its_code(house: House) -> None:
    unknown = "00000000-0000-7000-8000-000000000000"
    refused = await house.follow(deployment=unknown, within=REFUSED_SECONDS)
    assert refused.events == []
    assert [error["extensions"]["code"] for error in refused.end["errors"]] == ["RESOURCE_NOT_FOUND"]
