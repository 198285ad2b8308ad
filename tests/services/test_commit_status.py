"""Commit statuses: a provider hears of each deployment what becomes of it, however long it does not listen."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

import models
import workers
from models import DeploymentStatus
from models.settings import settings
from tests.services.conftest import Api
from workers import commit_status, outgoing

SHA = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
TOKEN = "a-token-that-nobody-knows"


@dataclass
class Provider:
    """A provider on a loopback port, which answers with a status."""

    port: int = 0
    status: int = 201
    heard: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    silent: bool = False

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        if self.silent:
            await asyncio.sleep(30)
        self.heard.append((head.split()[1], headers["authorization"], body))
        writer.write(f"HTTP/1.1 {self.status} X\r\nLocation: http://{self.host}/elsewhere\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    @property
    def states(self) -> list[str]:
        return [body["state"] for _, _, body in self.heard]


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    found = Provider()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    monkeypatch.setitem(settings().__dict__, "git_allowed_hosts", frozenset({found.host}))
    monkeypatch.setitem(settings().__dict__, "public_url", "http://dokploy.example.com")
    monkeypatch.setattr(outgoing, "SECONDS", 0.5)
    yield found
    server.close()


async def deploying(api: Api, provider: Provider, **source: Any) -> models.Deployment:
    """A deployment of a push to a repository of the provider's."""
    given = {"repoUrl": f"http://{provider.host}/user/app.git", "provider": "gitea", "token": TOKEN} | source
    application = await api.application(name="web", image=None, gitSource=given)
    row = await models.Application.get(id=application["id"])
    return await workers.start_pushed(row.id, f"github:{row.id}", commit_sha=SHA)


async def becomes(deployment: models.Deployment, status: DeploymentStatus) -> None:
    await models.Deployment.filter(id=deployment.id).update(status=status)
    await commit_status.report(None)  # type: ignore[arg-type]


async def is_due(deployment: models.Deployment) -> None:
    await models.Deployment.filter(id=deployment.id).update(report_due=datetime.now(UTC))


async def test_a_provider_hears_how_a_deployment_begins_and_ends(api: Api, provider: Provider) -> None:
    deployment = await deploying(api, provider)
    for status in ("pending", "cloning", "building", "deploying", "success", "success"):
        await becomes(deployment, DeploymentStatus(status))
    assert provider.heard == [
        (
            f"/api/v1/repos/user/app/statuses/{SHA}",
            f"token {TOKEN}".lower(),
            {
                "state": state,
                "context": "dokploy/web",
                "description": description,
                "target_url": f"http://dokploy.example.com/api/deployments/{deployment.id}",
            },
        )
        for state, description in (("pending", "The deployment is under way"), ("success", "Deployed"))
    ]
    assert (await models.Deployment.get(id=deployment.id)).report_due is None


@pytest.mark.parametrize(("status", "state"), [("failed", "failure"), ("cancelled", "error")])
async def test_a_provider_hears_of_other_ends(api: Api, provider: Provider, status: str, state: str) -> None:
    deployment = await deploying(api, provider)
    await becomes(deployment, DeploymentStatus.building)
    await becomes(deployment, DeploymentStatus(status))
    assert provider.states == ["pending", state]


async def test_a_push_that_never_had_its_turn_is_not_told(api: Api, provider: Provider) -> None:
    deployment = await deploying(api, provider)
    await becomes(deployment, DeploymentStatus.cancelled)
    assert provider.heard == []
    assert (await models.Deployment.get(id=deployment.id)).report_due is None


@pytest.mark.parametrize("status", [500, 401, 404, 302])
async def test_a_provider_that_does_not_take_it_is_told_again_later(
    api: Api, provider: Provider, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment, provider.status = await deploying(api, provider), status
    await becomes(deployment, DeploymentStatus.success)
    await becomes(deployment, DeploymentStatus.success)
    row = await models.Deployment.get(id=deployment.id)
    assert (len(provider.heard), row.report_tries, row.reported) == (1, 1, None), "not before it is due, and nowhere else"
    assert row.report_due is not None
    provider.status = 201
    await is_due(deployment)
    await becomes(deployment, DeploymentStatus.success)
    assert provider.states == ["success", "success"]
    assert TOKEN not in "".join(capsys.readouterr())


async def test_the_pauses_grow_and_end(api: Api, provider: Provider) -> None:
    deployment, provider.status = await deploying(api, provider), 503
    await models.Deployment.filter(id=deployment.id).update(status=DeploymentStatus.success)
    pauses = []
    for _ in range(commit_status.MOST_TRIES):
        await is_due(deployment)
        await becomes(deployment, DeploymentStatus.success)
        due = (await models.Deployment.get(id=deployment.id)).report_due
        pauses.append(round((due - datetime.now(UTC)).total_seconds()) if due else None)
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-2:] == [3600, None]
    assert len(provider.heard) == commit_status.MOST_TRIES


async def test_the_end_is_told_at_once_however_long_the_beginning_could_not_be(api: Api, provider: Provider) -> None:
    deployment, provider.status = await deploying(api, provider), 503
    for _ in range(commit_status.MOST_TRIES + 5):
        await is_due(deployment)
        await becomes(deployment, DeploymentStatus.building)
    provider.status = 201
    provider.heard.clear()
    await becomes(deployment, DeploymentStatus.success)
    assert provider.states == ["success"]


async def test_one_that_makes_no_sense_keeps_nobody_else_from_being_told(api: Api, provider: Provider) -> None:
    odd, deployment = await deploying(api, provider), await deploying(api, provider)
    await models.Deployment.filter(id=odd.id).update(snapshot={"git_source": {"repo_url": 7}})
    await becomes(deployment, DeploymentStatus.success)
    assert provider.states == ["success"]
    assert (await models.Deployment.get(id=odd.id)).report_tries == 1


async def test_a_provider_that_is_silent_holds_up_nobody_else(api: Api, provider: Provider) -> None:
    silent = Provider(silent=True)
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
    silent.port = server.sockets[0].getsockname()[1]
    settings().__dict__["git_allowed_hosts"] |= {silent.host}
    await deploying(api, silent)
    deployment = await deploying(api, provider)
    began = asyncio.get_running_loop().time()
    await becomes(deployment, DeploymentStatus.success)
    assert asyncio.get_running_loop().time() - began < 3
    assert provider.states == ["success"]
    server.close()


async def test_who_must_not_be_reached_is_not(api: Api, provider: Provider) -> None:
    deployment = await deploying(api, provider)
    settings().__dict__["git_allowed_hosts"] = frozenset()
    await becomes(deployment, DeploymentStatus.success)
    assert provider.heard == []
    assert (await models.Deployment.get(id=deployment.id)).report_tries == 1


async def test_a_token_is_not_shown_to_the_host_that_came_after(api: Api, provider: Provider) -> None:
    deployment = await deploying(api, provider)
    other = {"repoUrl": "http://127.0.0.1:1/user/app.git", "token": TOKEN, "provider": "gitea"}
    await api.owner.patch(f"/applications/{deployment.application_id}", {"gitSource": other})
    await becomes(deployment, DeploymentStatus.success)
    assert provider.heard == []


async def test_without_a_token_nobody_is_told(api: Api, provider: Provider) -> None:
    deployment = await deploying(api, provider, token=None)
    assert deployment.report_due is None
    await becomes(deployment, DeploymentStatus.success)
    assert provider.heard == []


async def test_a_deployment_that_ended_before_its_commit_was_known_is_looked_at_no_more(api: Api, provider: Provider) -> None:
    deployment = await deploying(api, provider)
    await models.Deployment.filter(id=deployment.id).update(commit_sha=None, finished_at=datetime.now(UTC))
    await becomes(deployment, DeploymentStatus.failed)
    assert provider.heard == []
    assert (await models.Deployment.get(id=deployment.id)).report_due is None
