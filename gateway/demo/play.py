"""`dokploy demo`: the main job, played from a git repository to running containers, three times over."""

import asyncio
import os
import re
import secrets
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.demo.base_image import BaseImageError, ensure_base_image
from gateway.demo.client import Client, Refused
from gateway.demo.installation import NotUp, installation
from gateway.demo.repository import Repository
from gateway.embedded.engine import ensure_engine
from gateway.embedded.errors import EmbeddedError

SAMPLE = Path(__file__).parents[2] / "examples" / "hello"
USERNAME = "demo"
OPEN_SECONDS = 10.0

console = Console(file=sys.stdout, highlight=False)


class DemoFailed(Exception):
    """The demo did not come out as it should."""


async def demo(data: Path, *, keep: bool) -> int:
    """Play the demo on a fresh installation under `data`. The exit status: 0 when everything came out as it should."""
    await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)
    await asyncio.to_thread(data.mkdir, parents=True)
    try:
        async with AsyncExitStack() as exit_stack:
            repository = await asyncio.to_thread(Repository.create, data / "hello.git", SAMPLE)
            git_url = await exit_stack.enter_async_context(repository.serve())
            os.environ["DOKPLOY_GIT_ALLOWED_HOSTS"] = git_url.split("/")[2]
            if engine := await ensure_engine(data / "dockerd.log", report=console.print):
                exit_stack.push_async_callback(engine.stop)
            url = await exit_stack.enter_async_context(installation(data / "stack"))
            await _play(exit_stack, url, git_url, repository, keep=keep)
    except (DemoFailed, NotUp, Refused, BaseImageError, EmbeddedError, TimeoutError) as error:
        console.print(f"[red]The demo failed:[/] {escape(str(error))}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    if not keep:
        await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)
    return 0


async def _play(exit_stack: AsyncExitStack, url: str, git_url: str, repository: Repository, *, keep: bool) -> None:
    base = await ensure_base_image(shutil.which("docker") or "docker")
    console.print(f"Base image of the sample: {base}")
    client = Client(url)
    exit_stack.push_async_callback(client.close)
    password = secrets.token_urlsafe(12)
    await client.log_in(USERNAME, password)
    project = await client.post("/projects", {"name": "Demo"})
    application = await client.post(
        "/applications",
        {
            "name": "hello",
            "projectId": project["id"],
            "ports": [{"containerPort": 8080}],
            "gitSource": {"repoUrl": git_url, "branch": "main"},
        },
    )
    exit_stack.push_async_callback(_forget, client, application["id"], project["id"])
    ports = (await client.get(f"/applications/{application['id']}"))["ports"]
    page = f"http://127.0.0.1:{ports[0]['publishedPort']}/"

    console.rule("1. Deploy the repository")
    await _deploy(client, application["id"], "success")
    await _show(page, "version 1")

    console.rule("2. Commit a change and deploy again")
    index = (SAMPLE / "www" / "index.html").read_text()
    await asyncio.to_thread(repository.commit, "Say version 2", {"www/index.html": index.replace("version 1", "version 2")})
    await _deploy(client, application["id"], "success")
    await _show(page, "version 2")

    console.rule("3. Commit something that does not build")
    broken = (SAMPLE / "Dockerfile").read_text() + "\nRUN exit 7\n"
    await asyncio.to_thread(repository.commit, "Break the build", {"Dockerfile": broken})
    failed = await _deploy(client, application["id"], "failed")
    console.print(f"{failed['error']['code']}: {escape(failed['error']['message'])}")
    await _show(page, "version 2")

    console.rule("Done")
    console.print(f"Application  {page}\nGraphiQL     {url}/api/graphql\nAPI docs     {url}/api/docs")
    console.print(f"User name    {USERNAME}\nPassword     {password}")
    if not keep:
        console.print("It is all taken down now; with --keep it stays up.")
        return
    console.print("Everything stays up; Ctrl-C ends it.")
    await asyncio.Event().wait()


async def _deploy(client: Client, application: str, expected: str) -> dict[str, Any]:
    """Deploy and watch; the deployment at its end. Raises `DemoFailed` when it does not end as expected."""
    started = await client.post(f"/applications/{application}/deploy", {})
    columns = (SpinnerColumn(), TextColumn("{task.fields[stage]:<10}"), BarColumn(), "{task.percentage:>3.0f}%", TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[line]}"), console=console) as progress:
        bar = progress.add_task("", total=100, stage="pending", line="")
        async for event in client.follow(started["deploymentId"]):
            shown = {"stage": event["stage"] or event["status"], "completed": event["progress"]}
            if event["message"]:
                shown["line"] = escape(event["message"][:70])
            progress.update(bar, **shown)
    deployment = await client.get(f"/deployments/{started['deploymentId']}")
    stages = ", ".join(f"{stage['name']} {stage['status']} ({stage['duration'] or 0} s)" for stage in deployment["stages"])
    console.print(f"{deployment['status']}: {stages}")
    console.print(f"commit {deployment['commitSha'][:12]} by {deployment['author']}: {escape(deployment['commitMessage'])}")
    if deployment["status"] != expected:
        raise DemoFailed(f"the deployment is {deployment['status']}, not {expected}: {deployment['error']}")
    return deployment


async def _show(page: str, expected: str) -> None:
    """Open the page and print what it says. Raises `DemoFailed` when it is not what it should be."""
    async with asyncio.timeout(OPEN_SECONDS), httpx2.AsyncClient() as browser:
        while True:
            try:
                text = (await browser.get(page)).text
                break
            except httpx2.TransportError:
                await asyncio.sleep(0.2)
    console.print(f"{page} says:")
    console.print(escape(_readable(text)), style="cyan")
    if expected not in text:
        raise DemoFailed(f"the page does not say '{expected}'")


def _readable(page: str) -> str:
    """The text of a page, a line for each of its lines that has any."""
    body = re.sub(r"<(head|style|script)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL)
    return "\n".join(f"    {line.strip()}" for line in body.splitlines() if line.strip())


async def _forget(client: Client, application: str, project: str) -> None:
    """Delete the application, and wait until nothing of it is left in the engine."""
    await client.delete(f"/applications/{application}?deleteVolumes=true")
    mine, shared = f"label=dokploy.application={application}", f"label=dokploy.project={project}"
    for _ in range(100):
        left = [
            await _listed("ps", "--all", "--quiet", "--filter", mine),
            await _listed("images", "--quiet", "--filter", mine),
            await _listed("network", "ls", "--quiet", "--filter", shared),
        ]
        if not any(left):
            return
        await asyncio.sleep(0.3)


async def _listed(*arguments: str) -> str:
    """What a listing of the docker client prints."""
    docker = shutil.which("docker") or "docker"
    process = await asyncio.create_subprocess_exec(docker, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    output, _ = await process.communicate()
    return output.decode().strip()
