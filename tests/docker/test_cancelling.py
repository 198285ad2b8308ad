"""Cancelling at every stage, on the real engine: nothing of it is left, and the version before serves."""

import contextlib
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from tests.docker.house import App, House
from tests.docker.installation import Installation, eventually
from tests.docker.sample import Sample, dockerfile

pytestmark = pytest.mark.docker

WITHIN = 15
"""Seconds from the request to the end (PIPELINE)."""
NEVER = "HEALTHCHECK --interval=1s --timeout=2s --retries=99 CMD false"


async def cancelled(app: App, id: str) -> dict[str, Any]:
    """Cancel a deployment, and wait for the end."""
    answer = await app.installation.owner.post(f"/deployments/{id}/cancel", {})
    assert answer.status_code == 202, answer.text
    shown = await app.installation.ended(id, within=WITHIN)
    assert (shown["status"], shown["error"]) == ("cancelled", None)
    return shown


async def images(app: App) -> list[str]:
    return await app.installation.command("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"dokploy/{app.service_name}")


async def test_a_build_that_is_cancelled_leaves_no_process_image_or_directory(
    house: House, sample: Sample, installation: Installation
) -> None:
    sample.commit(Dockerfile=dockerfile(f"RUN echo {token_hex(4)}; echo now sleeping; sleep 300"))
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await installation.until(id, lambda event: event["stage"] == "building" and event["message"].endswith(" now sleeping"))
    assert list(installation.work.glob(f"{id}-*"))
    shown = await cancelled(app, id)
    assert [stage["status"] for stage in shown["stages"]] == ["completed", "skipped", "skipped"]
    assert (await images(app), list(installation.work.glob(f"{id}-*")), await app.service()) == ([], [], None)
    assert (await app.shown())["status"] == "pending"


async def test_a_first_rollout_that_is_cancelled_leaves_no_service(house: House, sample: Sample, installation: Installation) -> None:
    sample.commit(Dockerfile=dockerfile(NEVER))
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await eventually(app.service)
    await cancelled(app, id)
    assert await app.service() is None

    async def nothing_is_left() -> bool:
        return not await app.remains()

    await eventually(nothing_is_left)


async def test_a_rollout_that_is_cancelled_gives_the_service_back_to_the_version_before(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    live = await app.deployed()
    sample.commit(index="version 2\n", Dockerfile=dockerfile(NEVER))
    id = await app.deploy()

    async def updating() -> bool:
        service = await app.service()
        return bool(service and service["Spec"]["Labels"]["dokploy.deployment"] == id)

    await eventually(updating)
    await cancelled(app, id)
    service = await app.service()
    assert service
    assert service["Spec"]["Labels"]["dokploy.deployment"] == live["id"]

    async def only_the_one_before() -> bool:
        return [task.deployment for task in await app.running()] == [live["id"]]

    await eventually(only_the_one_before)
    assert (await app.shown())["status"] == "running"
    again = await app.deployed(commitSha=live["commitSha"])
    assert [task.deployment for task in await app.running()] == [again["id"]]


async def test_a_clone_that_hangs_is_cancelled(house: House, sample: Sample, installation: Installation) -> None:
    async with sample.repository.serve(hang=True) as url:
        app = await house.app(gitSource={"repoUrl": url, "branch": "main"})
        id = await app.deploy()
        await installation.until(id, lambda event: str(event["message"]).startswith("Cloning http"))
        await eventually(lambda: _clones(url))
        await cancelled(app, id)
        assert await _clones(url) == []
    assert not list(installation.work.glob(f"{id}-*"))


async def _clones(url: str) -> list[int]:
    """The processes whose command line names this repository."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and url.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found
