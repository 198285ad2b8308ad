"""What is done to an application that runs: going back, new configuration, scaling, restarting."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from tests.docker.house import App, House, succeeded
from tests.docker.installation import Installation, eventually
from tests.docker.sample import Sample, dockerfile

pytestmark = pytest.mark.docker


async def test_going_back_brings_the_version_before_without_a_build(house: House, sample: Sample, installation: Installation) -> None:
    app = await house.app(gitSource=sample.source)
    first = await app.deployed()
    sample.commit(index="version 2\n")
    second = await app.deployed()
    assert await app.page() == "version 2"
    started = await installation.owner.made(f"/deployments/{second['id']}/rollback", {})
    assert started["previousDeploymentId"] == first["id"]
    back = succeeded(await installation.ended(started["deploymentId"]))
    assert await app.page() == "version 1"
    assert (back["kind"], back["commitSha"], back["image"]) == ("rollback", first["commitSha"], first["image"])
    assert [stage["name"] for stage in back["stages"]] == ["deploying"]
    assert (await app.shown())["gitSource"]["lastCommitSha"] == first["commitSha"]

    sample.commit(Dockerfile=dockerfile("RUN exit 7"))
    failed = await app.failed()
    refused = await installation.owner.post(f"/deployments/{failed['id']}/rollback", {})
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (409, "NOT_SUCCESSFUL")


async def test_changed_variables_reach_the_containers_by_a_deployment_of_their_own(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source, envVars=[{"key": "MODE", "value": "old"}])
    first = await app.deployed()
    assert "MODE=old" in await app.page("/env")
    await app.patch(envVars=[{"key": "MODE", "value": "new"}])
    change = await app.last_deployment()
    assert change["kind"] == "config"
    changed = succeeded(await installation.ended(change["id"]))
    assert "MODE=new" in await app.page("/env")
    assert (changed["image"], [stage["name"] for stage in changed["stages"]]) == (first["image"], ["deploying"])
    await app.patch(envVars=[{"key": "MODE", "value": "new"}])
    assert (await app.last_deployment())["id"] == change["id"]


async def test_a_secret_reaches_the_containers_and_no_log_and_no_command_line(
    house: House, sample: Sample, installation: Installation
) -> None:
    secret, planted = token_hex(16), token_hex(16)
    app = await house.app(gitSource=sample.source, envVars=[{"key": "TOKEN", "value": secret, "isSecret": True}])
    sample.commit(Dockerfile=dockerfile("RUN echo TOKEN is ${TOKEN:-not here}"))
    with watched_command_lines() as seen:
        deployment = await app.deployed()
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
    await app.deleted()
    assert await app.service() is None


async def running(app: App, replicas: int) -> list:
    """The tasks, once so many run and none is about to go or come."""

    async def look() -> tuple[bool, list] | None:
        tasks = [task for task in await app.installation.engine.tasks(app.service_name) if task.wanted]
        return (True, tasks) if len(tasks) == replicas == len(await app.running()) else None

    found = await eventually(look)
    assert found
    return found[1]


async def shows(app: App, status: str) -> bool:
    return (await app.shown())["status"] == status
