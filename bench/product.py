"""The product's side: an installation with one deployed application, its deployments timed, its command lines recorded."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.replay import Command, Names, Recorder, Timed, free_port, until
from gateway.demo.base_image import ensure_base_image
from gateway.demo.client import Client
from gateway.demo.installation import installation
from gateway.demo.play import SAMPLE
from gateway.demo.repository import Repository
from workers.engine import Engine

PASSWORD = "correct horse battery"
GONE_SECONDS = 60.0
_STEPS = {"Cloning": "clone", "Building": "build", "Deploying": "deploy"}
"""What is being done after an event of the status says this; after any other one the deployment waits."""
WAITING = "queue and hand-overs"


class NotDeployed(Exception):
    """A deployment did not end with success."""


@dataclass(frozen=True)
class Product:
    """The running installation."""

    client: Client
    engine: Engine
    recorder: Recorder
    repository: Repository
    project: str
    served: str
    """The URL of the sample repository."""
    hanging: str
    """The URL of a git server that never answers: what waits for it does no work."""

    async def application(self, name: str, git_url: str, *ports: int) -> dict[str, Any]:
        """A new application from a git repository; these ports of its containers are published."""
        source = {"repoUrl": git_url, "branch": "main"}
        body = {"name": name, "projectId": self.project, "ports": [{"containerPort": port} for port in ports], "gitSource": source}
        return await self.client.get(f"/applications/{(await self.client.post('/applications', body))['id']}")

    async def delete(self, application: dict[str, Any]) -> None:
        """Delete an application, and wait until its service is gone."""
        await self.client.delete(f"/applications/{application['id']}")

        async def gone() -> bool:
            return await self.engine.service(application["serviceName"]) is None

        await until(gone, GONE_SECONDS)

    def change(self) -> str:
        """Commit a trivial change of the sample; its hash."""
        page = (SAMPLE / "www" / "index.html").read_text()
        return self.repository.commit("Change the page", {"www/index.html": f"{page}<!-- {time.time_ns()} -->\n"})

    async def deploy(self, application: str) -> tuple[str, Timed]:
        """Ask for a deployment and follow it to its success; its id and how long it took. Raises `NotDeployed`."""
        timed, step, status = Timed(), WAITING, ""
        began = since = time.monotonic()
        started = (await self.client.post(f"/applications/{application}/deploy", {}))["deploymentId"]
        async for event in self.client.follow(started):
            if event["kind"] == "status":
                timed.spent(step, time.monotonic() - since)
                since, step, status = time.monotonic(), _STEPS.get(event["message"], WAITING), event["status"]
        timed.total = time.monotonic() - began
        if status != "success":
            raise NotDeployed(f"the deployment ended as {status}: {event['message']}")
        return started, timed

    async def recorded(self, names: Names) -> tuple[list[Command], Names]:
        """Deploy a change while its command lines are recorded; these, and what they name."""
        commands: list[Command] = []
        sha = await asyncio.to_thread(self.change)
        with self.recorder.recording(commands):
            deployment, _ = await self.deploy(names.application)
        return commands, replace(names, deployment=deployment, sha=sha)


@asynccontextmanager
async def product(data: Path) -> AsyncIterator[Product]:
    """Run an installation under `data`, and serve the sample to it, for as long as the block lasts."""
    repository = await asyncio.to_thread(Repository.create, data / "hello.git", SAMPLE)
    recorder, port = await Recorder.create(data / "recorder"), free_port()
    async with (
        repository.serve(hang=True) as hanging,
        repository.serve() as served,
        Engine() as engine,
        AsyncExitStack() as exit_stack,
    ):
        variables = {
            "PATH": f"{recorder.bin}:{os.environ['PATH']}",
            "DOKPLOY_DOCKER": str(recorder.directory / "docker"),
            "DOKPLOY_PORT_RANGE": f"{port}-{port}",
            "DOKPLOY_RATE_LIMITS": "off",
            "DOKPLOY_GIT_ALLOWED_HOSTS": ",".join(url.split("/")[2] for url in (served, hanging)),
        }
        # Only the installation is to see them: the git server of this process would be recorded, too.
        with _environment(variables):
            url = await exit_stack.enter_async_context(installation(data / "stack"))
        await ensure_base_image(recorder.docker)
        client = Client(url)
        exit_stack.push_async_callback(client.close)
        await client.log_in("bench", PASSWORD)
        project = (await client.post("/projects", {"name": "Bench"}))["id"]
        yield Product(client, engine, recorder, repository, project, served, hanging)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= variables
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before
