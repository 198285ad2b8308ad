"""What happens in the middle of a build: a worker that goes away, whose deployment another one goes on with, and a deletion."""

import os
import signal
from secrets import token_hex
from typing import Any

import pytest

from tests.docker.house import House, succeeded
from tests.docker.installation import Installation, eventually
from tests.docker.sample import HEALTHCHECK, Sample, dockerfile

pytestmark = pytest.mark.docker


def slow() -> str:
    """A Dockerfile of which no cache knows anything."""
    return dockerfile(f"RUN echo {token_hex(4)}; echo now sleeping; sleep 3")


def asleep(event: dict[str, Any]) -> bool:
    return event["stage"] == "building" and str(event["message"]).endswith(" now sleeping")


async def test_a_worker_that_is_told_to_stop_hands_its_build_to_the_next_one(
    house: House, sample: Sample, installation: Installation
) -> None:
    sample.commit(Dockerfile=slow())
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await installation.until(id, asleep)
    assert await installation.workers[-1].stop() == 0
    handed_back = (await installation.owner.get(f"/deployments/{id}")).json()
    assert (handed_back["status"], handed_back["stages"][1]["status"]) == ("building", "running")
    await installation.start_worker()
    deployment = succeeded(await installation.ended(id, within=30))
    assert deployment["image"].endswith(f"{id}-1")
    assert [stage["status"] for stage in deployment["stages"]] == ["completed"] * 3
    assert "The worker stops; another one goes on" in [event["message"] for event in await installation.follow(id)]
    assert await app.page() == "version 1"


async def test_the_build_of_a_killed_worker_is_taken_over(house: House, sample: Sample, installation: Installation) -> None:
    sample.commit(Dockerfile=slow())
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await installation.until(id, asleep)
    os.kill(installation.workers[-1].pid, signal.SIGKILL)
    assert await installation.workers[-1].wait() == -signal.SIGKILL
    await installation.start_worker()
    deployment = succeeded(await installation.ended(id, within=60))
    assert deployment["image"].endswith(f"{id}-2")
    assert await app.page() == "version 1"
    events = await installation.follow(id)
    messages = [event["message"] for event in events]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "The worker was lost; another one goes on" in messages


async def test_a_service_that_a_killed_worker_has_created_is_adopted(house: House, sample: Sample, installation: Installation) -> None:
    sample.commit(Dockerfile=dockerfile(HEALTHCHECK.replace("1s", "4s")))
    built = await house.app(gitSource=sample.source)
    await built.deployed()
    image = (await built.shown())["image"]
    app = await house.app(image=image)
    id = await app.deploy()
    await eventually(app.service)
    os.kill(installation.workers[-1].pid, signal.SIGKILL)
    # The lease would end by itself, as in the test above.
    await installation.database.execute("update deployment set lease_until = now() where id = $1", id)
    await installation.start_worker()
    deployment = succeeded(await installation.ended(id))
    assert deployment["image"].endswith(f"{id}-1")
    assert len(await installation.engine.tasks(app.service_name)) == 1
    assert any("carries this deployment already" in line["message"] for line in await installation.logs(id))


async def test_an_application_that_is_deleted_while_it_is_built_leaves_nothing(
    house: House, sample: Sample, installation: Installation
) -> None:
    sample.commit(Dockerfile=slow())
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await installation.until(id, asleep)
    await app.deleted()

    async def nothing_is_left() -> bool:
        return not list(installation.work.iterdir()) and not await app.remains()

    await eventually(nothing_is_left)
