"""What reaches the containers of an application: its secrets, and the wishes to scale, stop and restart it."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from tests.docker.house import App, House
from tests.docker.installation import Installation, eventually
from tests.docker.sample import Sample, dockerfile
from workers.engine import Task

pytestmark = pytest.mark.docker


async def test_a_secret_reaches_the_containers_and_no_log_and_no_command_line(
    house: House, sample: Sample, installation: Installation
) -> None:
    secret, planted = token_hex(16), token_hex(16)
    app = await house.app(gitSource=sample.source, envVars=[{"key": "TOKEN", "value": secret, "isSecret": True}])
    sample.commit(Dockerfile=dockerfile("RUN echo TOKEN is ${TOKEN:-not here}"))
    with watched_command_lines() as seen:
        deployment = await app.deployed(force=True)  # a cached step says nothing
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "", planted], check=True)
    assert f"TOKEN={secret}" in await app.page("/env")
    assert any(planted in line for line in seen)
    assert any(f"dokploy.application={app.id}" in line for line in seen)
    assert not any(secret in line for line in seen)
    assert secret not in str(deployment) + str(await app.shown()) + str(await installation.logs(deployment["id"]))
    assert any("TOKEN is not here" in line["message"] for line in await installation.logs(deployment["id"]))
    assert secret not in str(await installation.engine.image(deployment["image"]))


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """Every command line of this machine that shows while the block lasts."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:  # it has just ended
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


async def test_replicas_come_and_go_and_a_restart_replaces_the_container(house: House, sample: Sample) -> None:
    # Host-mode ports allow one container a node, so this application publishes none.
    app = await house.app(gitSource=sample.source, ports=[])
    await app.deployed()
    (before,) = await app.running()
    assert await app.post("scale", {"replicas": 2}) == {"previousReplicas": 1, "currentReplicas": 2, "status": "scaling"}
    assert before.id in {task.id for task in await running(app, 2)}

    await app.post("scale", {"replicas": 0})
    await running(app, 0)
    await eventually(lambda: shows(app, "stopped"))
    await app.post("scale", {"replicas": 1})
    (before,) = await running(app, 1)
    await eventually(lambda: shows(app, "running"))

    await app.post("restart")

    async def replaced() -> bool:
        tasks = await app.running()
        return len(tasks) == 1 and tasks[0].container_id != before.container_id

    await eventually(replaced)


async def test_a_stopped_application_is_deployed_without_being_started(house: House, sample: Sample) -> None:
    app = await house.app(gitSource=sample.source, ports=[], replicas=0)
    deployment = await app.deployed()
    shown = await app.shown()
    assert (shown["status"], shown["healthStatus"]) == ("stopped", "unknown")
    assert await running(app, 0) == []
    await app.post("scale", {"replicas": 1})
    (task,) = await running(app, 1)
    assert task.deployment == deployment["id"]


async def running(app: App, replicas: int) -> list[Task]:
    """The tasks, once so many run and none is about to go or come."""

    async def look() -> tuple[bool, list[Task]] | None:
        tasks = [task for task in await app.installation.engine.tasks(app.service_name) if task.wanted]
        return (True, tasks) if len(tasks) == replicas == len(await app.running()) else None

    found = await eventually(look)
    assert found
    return found[1]


async def shows(app: App, status: str) -> bool:
    return bool((await app.shown())["status"] == status)
