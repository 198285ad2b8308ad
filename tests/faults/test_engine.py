"""The Docker Engine away in the middle, its disk full, its swarm lying: the deployment ends as it should, and the version before serves."""

import asyncio
import time
from collections.abc import Callable

import pytest

from models import StageName
from tests.docker.sample import HEALTHCHECK, dockerfile
from tests.faults.engine.rules import NO_SPACE
from tests.faults.held import hold
from tests.faults.installation import App, Installation, eventually
from tests.faults.source import Source

Tell = Callable[[str], None]
SICK = {"command": "false", "interval": 1, "timeout": 1, "retries": 1, "startPeriod": 0}


async def serving(installation: Installation, app: App) -> list[str]:
    """The deployments of which a task runs, as long as one shall run."""
    tasks = installation.stand_in.swarm.services[app.service].wanted()
    return [task.template["ContainerSpec"]["Labels"]["dokploy.deployment"] for task in tasks if task.state == "running"]


async def first_version(installation: Installation, source: Source) -> tuple[App, str]:
    """An application whose first version serves."""
    app = await installation.app(gitSource=source.git)
    id = await installation.deploy(app)
    await installation.succeeded(id)
    assert await serving(installation, app) == [id]
    return app, id


async def second_version_begun(installation: Installation, app: App) -> str:
    """A deployment whose change of the service has begun, and is held there."""
    rule = installation.stand_in.rules.hold("service update", times=1, when=lambda call: call.service == app.service)
    id = await installation.deploy(app)
    await rule.begun()
    return id


async def test_a_deployment_waits_for_an_engine_that_is_away_for_ten_seconds(
    installation: Installation, source: Source, tell: Tell
) -> None:
    app, first = await first_version(installation, source)
    id = await second_version_begun(installation, app)
    left = time.time()
    await installation.stand_in.leave()
    await asyncio.sleep(10)
    assert (await installation.row(id))["status"] == "deploying"
    assert await serving(installation, app) == [first]
    await installation.stand_in.come_back()
    await installation.succeeded(id)
    tell(f"Engine away for 10 s in the middle of deploying: success after {time.time() - left:.1f} s")
    assert await serving(installation, app) == [id]


async def test_a_build_waits_for_an_engine_that_is_away_for_five_seconds(installation: Installation, source: Source, tell: Tell) -> None:
    held = await hold(installation, source, StageName.building, times=1)
    await installation.stand_in.leave()
    await asyncio.sleep(5)
    await installation.stand_in.come_back()
    await installation.succeeded(held.deployment)
    assert [call.code for call in installation.stand_in.of("build", deployment=held.deployment)][-1] == 0


@pytest.mark.full
async def test_a_deployment_fails_when_the_engine_stays_away(installation: Installation, source: Source, tell: Tell) -> None:
    app, first = await first_version(installation, source)
    id = await second_version_begun(installation, app)
    left = time.time()
    await installation.stand_in.leave()
    row = await installation.ended(id, within=200)
    tell(f"Engine away for good: {row['status']} after {time.time() - left:.0f} s")
    assert (row["status"], row["error_code"]) == ("failed", "DOCKER_UNAVAILABLE")
    assert time.time() - left >= 115
    await installation.stand_in.come_back()
    assert await serving(installation, app) == [first]


async def test_a_full_disk_fails_the_build_and_leaves_nothing_of_it(installation: Installation, source: Source) -> None:
    app, first = await first_version(installation, source)
    rule = installation.stand_in.rules.fail("build", NO_SPACE)
    id = await installation.deploy(app)
    row = await installation.ended(id)
    assert (row["status"], row["error_code"]) == ("failed", "DISK_FULL")
    assert len(rule.met) == 1
    assert await serving(installation, app) == [first]
    assert not [image for image in installation.stand_in.stock.images.values() if image.labels.get("dokploy.deployment") == id]


async def test_a_health_check_that_never_passes_leaves_the_version_before_serving(
    installation: Installation, source: Source, tell: Tell
) -> None:
    app, first = await first_version(installation, source)
    source.sample.commit(Dockerfile=dockerfile(HEALTHCHECK.rpartition(" CMD ")[0] + " CMD false"))
    asked = time.time()
    id = await installation.deploy(app)
    row = await installation.ended(id)
    tell(f"health check that never passes: {row['error_code']} after {time.time() - asked:.1f} s")
    assert (row["status"], row["error_code"]) == ("failed", "HEALTH_CHECK_FAILED")
    assert "the health check did not pass" in row["error_output"]
    assert await serving(installation, app) == [first]


async def test_a_first_deployment_whose_health_check_never_passes_leaves_no_service(installation: Installation, source: Source) -> None:
    app = await installation.app(gitSource=source.git, healthCheck=SICK)
    rule = installation.stand_in.rules.hold("service create", when=lambda call: call.service == app.service)
    id = await installation.deploy(app)
    await rule.begun()
    rule.release()
    await eventually(lambda: exists(installation, app))
    row = await installation.ended(id)
    assert (row["status"], row["error_code"]) == ("failed", "HEALTH_CHECK_FAILED")
    assert not await exists(installation, app)


async def exists(installation: Installation, app: App) -> bool:
    return app.service in installation.stand_in.swarm.services


@pytest.mark.full
@pytest.mark.parametrize("lie", ["nothing is done", "another image runs"])
async def test_a_swarm_that_lies_is_not_believed(lie: str, installation: Installation, source: Source, tell: Tell) -> None:
    app, first = await first_version(installation, source)
    if lie == "nothing is done":
        installation.stand_in.rules.lie("service update", times=1, when=lambda call: call.service == app.service)
    else:
        installation.stand_in.swarm.wrong_image = "somebody/else:1"
    asked = time.time()
    id = await installation.deploy(app)
    await asyncio.sleep(20)
    installation.stand_in.swarm.wrong_image = None
    row = await installation.ended(id, within=200)
    tell(f"{lie}: {row['status']} {row['error_code']} after {time.time() - asked:.0f} s")
    assert row["status"] == "failed"
    assert await serving(installation, app) == [first]
