"""An application that has come to its second version: a build that fails, new configuration, the way back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.docker.house import App, House, succeeded
from tests.docker.installation import Installation
from tests.docker.sample import Sample, dockerfile, served

pytestmark = pytest.mark.docker


@dataclass
class Versions:
    """The application and its first two deployments."""

    app: App
    sample: Sample
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module")
async def versions(installation: Installation, left: list[House], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Versions]:
    """Shared: each test finds it on the second version or a successor of it, and leaves it running."""
    house = House(installation, Path(__file__).stem)
    async with served(tmp_path_factory.mktemp("versions")) as sample:
        app = await house.app(gitSource=sample.source, envVars=[{"key": "MODE", "value": "old"}])
        first = await app.deployed()
        assert await app.page() == "version 1"
        sample.commit(index="version 2\n")
        yield Versions(app, sample, first, await app.deployed())
    await house.leave()
    left.append(house)


async def test_a_second_version_replaces_the_page(versions: Versions) -> None:
    assert await versions.app.page() == "version 2"
    assert versions.second["commitSha"] != versions.first["commitSha"]
    assert versions.second["image"] != versions.first["image"]
    assert [task.deployment for task in await versions.app.running()] == [versions.second["id"]]


async def test_a_failed_build_leaves_the_version_before_serving_and_cannot_be_rolled_back(
    versions: Versions, installation: Installation
) -> None:
    app = versions.app
    before = await app.page()
    versions.sample.commit(index="version 3\n", Dockerfile=dockerfile("RUN echo about to fail $((40 + 2)) && exit 7"))
    failed = await app.failed()
    assert failed["error"]["code"] == "BUILD_FAILED"
    assert failed["error"]["message"].startswith("The build failed: ")
    assert "about to fail 42" in failed["error"]["output"]
    assert [(stage["name"], stage["status"]) for stage in failed["stages"]] == [
        ("cloning", "completed"),
        ("building", "failed"),
        ("deploying", "skipped"),
    ]
    assert await app.page() == before
    shown = await app.shown()
    assert (shown["status"], shown["healthStatus"], shown["image"]) == ("running", "healthy", versions.second["image"])

    refused = await installation.owner.post(f"/deployments/{failed['id']}/rollback", {})
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (409, "NOT_SUCCESSFUL")


async def test_changed_variables_reach_the_containers_by_a_deployment_of_their_own(versions: Versions, installation: Installation) -> None:
    app = versions.app
    assert "MODE=old" in await app.page("/env")
    await app.patch(envVars=[{"key": "MODE", "value": "new"}])
    change = await app.last_deployment()
    assert change["kind"] == "config"
    changed = succeeded(await installation.ended(change["id"]))
    assert "MODE=new" in await app.page("/env")
    assert (changed["image"], [stage["name"] for stage in changed["stages"]]) == (versions.second["image"], ["deploying"])
    await app.patch(envVars=[{"key": "MODE", "value": "new"}])
    assert (await app.last_deployment())["id"] == change["id"]


async def test_going_back_brings_an_earlier_version_with_its_configuration_and_without_a_build(
    versions: Versions, installation: Installation
) -> None:
    app, first = versions.app, versions.first
    id = first["id"] if (await app.last_deployment())["kind"] == "config" else versions.second["id"]
    started = await installation.owner.made(f"/deployments/{id}/rollback", {})
    assert started["previousDeploymentId"] == first["id"]
    back = succeeded(await installation.ended(started["deploymentId"]))
    assert await app.page() == "version 1"
    assert "MODE=old" in await app.page("/env")
    assert (back["kind"], back["commitSha"], back["image"]) == ("rollback", first["commitSha"], first["image"])
    assert [stage["name"] for stage in back["stages"]] == ["deploying"]
    assert (await app.shown())["gitSource"]["lastCommitSha"] == first["commitSha"]
