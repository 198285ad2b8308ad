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
from gateway.demo.client import Client, Refused, Unreachable
from gateway.demo.directory import STACK, NotTheDemos, demo_directory, remove
from gateway.demo.git import GitError
from gateway.demo.installation import NotUp, installation
from gateway.demo.load import Tally, loaded
from gateway.demo.repository import Repository
from gateway.embedded.directory import AlreadyRunning
from gateway.embedded.engine import ensure_engine
from gateway.embedded.engine_install import install_programs
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.signals import cancelled_by_signals

SAMPLE = Path(__file__).parents[2] / "examples" / "hello"
USERNAME = "demo"
OPEN_SECONDS = 10.0
PEOPLE = 8
AFTERWARDS = 1.0
"""Seconds for which the page is used after the deployment."""

console = Console(file=sys.stdout, highlight=False)


class DemoFailed(Exception):
    """The demo did not come out as it should."""


OURS = (DemoFailed, NotUp, Refused, Unreachable, BaseImageError, GitError, EmbeddedError)
FAILURES = (*OURS, httpx2.HTTPError, OSError)
"""What ends the demo in a sentence; a `TimeoutError` is an `OSError`."""


async def demo(data: Path, *, keep: bool) -> int:
    """Play the demo on a fresh installation under `data` until it is over, or SIGINT, SIGTERM or SIGHUP comes.

    The exit status: 0 when everything came out as it should, 130 after a signal, else 1. `data` must be absent, empty or the directory
    of an earlier demo.
    """
    try:
        with demo_directory(data):
            return await _until_signalled(data, keep=keep)
    except (NotTheDemos, AlreadyRunning, OSError) as error:
        _say(str(error))
        return 1


async def _until_signalled(data: Path, *, keep: bool) -> int:
    """Play, and take down in any case; what is left on disk is removed unless it shows what failed or is to be kept."""
    status = 0
    try:
        async with AsyncExitStack() as exit_stack:
            playing = asyncio.create_task(_bring_up_and_play(exit_stack, data, keep=keep))
            exit_stack.enter_context(cancelled_by_signals(playing, _say))
            # What is entered there is left here, where no signal interrupts it.
            await playing
    except FAILURES as error:
        _say_failure(error)
        return 1
    except asyncio.CancelledError:
        if (caller := asyncio.current_task()) and caller.cancelling():
            raise
        status = 130
    if not keep:
        await asyncio.to_thread(remove, data)
    return status


async def _bring_up_and_play(exit_stack: AsyncExitStack, data: Path, *, keep: bool) -> None:
    if engine := await ensure_engine(data / "dockerd.log", report=_say):
        exit_stack.push_async_callback(engine.stop)
    await install_programs({"git": "git"}, data / "install.log", _say)
    repository = await asyncio.to_thread(Repository.create, data / "hello.git", SAMPLE)
    git_url = await exit_stack.enter_async_context(repository.serve())
    os.environ["DOKPLOY_GIT_ALLOWED_HOSTS"] = git_url.split("/")[2]
    url = await exit_stack.enter_async_context(installation(data / STACK))
    await _play(exit_stack, url, git_url, repository, keep=keep)


def _say(line: str) -> None:
    console.print(escape(line), soft_wrap=True)


def _say_failure(error: BaseException) -> None:
    """Say why the demo failed; when the clean-up failed as well, first the reason that came first."""
    sentences = [str(error) or type(error).__name__]
    earlier = error.__context__
    while earlier:
        if isinstance(earlier, OURS) and str(earlier) not in sentences:
            sentences.insert(0, str(earlier))
        earlier = earlier.__context__
    for sentence in sentences:
        console.print(f"[red]The demo failed:[/] {escape(sentence)}", soft_wrap=True)


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
    port = ports[0]["publishedPort"]
    page = f"http://127.0.0.1:{port}/"

    console.rule("1. Deploy the repository")
    await _deploy(client, application["id"], "success")
    await _show(page, "version 1")

    console.rule("2. Commit a change and deploy again, while people use the page")
    index = (SAMPLE / "www" / "index.html").read_text()
    await asyncio.to_thread(repository.commit, "Say version 2", {"www/index.html": index.replace("version 1", "version 2")})
    async with loaded(port, PEOPLE, posting=False) as tally:
        await _deploy(client, application["id"], "success")
        await asyncio.sleep(AFTERWARDS)
    _show_load(tally)
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


def _show_load(tally: Tally) -> None:
    """Print what became of the requests during a deployment. Raises `DemoFailed` when the edge has lost one, or never saw the change."""
    versions = {name: sum(count for body, count in tally.answers.items() if name in body) for name in ("version 1", "version 2")}
    shown = ", ".join(f"{count} by {name}" for name, count in versions.items())
    console.print(f"{PEOPLE} people: {tally}; answered {shown}")
    if os.environ.get("DOKPLOY_EDGE") != "off" and (tally.failures or not all(versions.values())):
        raise DemoFailed("requests were lost while version 2 took the place of version 1")


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
