"""A worker that goes away in the middle of a build: another one goes on with the same deployment."""

import os
import signal

import pytest

from tests.docker.house import House, succeeded
from tests.docker.installation import Installation
from tests.docker.sample import Sample, dockerfile

pytestmark = pytest.mark.docker

SLOW = dockerfile("RUN echo now sleeping && sleep 3")


def asleep(event: dict) -> bool:
    return event["stage"] == "building" and event["message"].endswith(" now sleeping")


async def test_a_worker_that_is_told_to_stop_hands_its_build_to_the_next_one(
    house: House, sample: Sample, installation: Installation
) -> None:
    sample.commit(Dockerfile=SLOW)
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await installation.follow(id, asleep)
    assert await installation.workers[-1].stop() == 0
    handed_back = (await installation.owner.get(f"/deployments/{id}")).json()
    assert (handed_back["status"], handed_back["stages"][1]["status"]) == ("building", "running")
    await installation.start_worker()
    deployment = succeeded(await installation.ended(id, within=30))
    assert deployment["image"].endswith(f"{id}-1")
    assert [stage["status"] for stage in deployment["stages"]] == ["completed"] * 3
    assert await app.page() == "version 1"


async def test_the_build_of_a_killed_worker_is_taken_over(house: House, sample: Sample, installation: Installation) -> None:
    sample.commit(Dockerfile=SLOW)
    app = await house.app(gitSource=sample.source)
    id = await app.deploy()
    await installation.follow(id, asleep)
    os.kill(installation.workers[-1].pid, signal.SIGKILL)
    assert await installation.workers[-1].wait() == -signal.SIGKILL
    await installation.start_worker()
    deployment = succeeded(await installation.ended(id, within=60))
    assert deployment["image"].endswith(f"{id}-2")
    assert await app.page() == "version 1"
    messages = [event["message"] for event in await installation.follow(id, lambda event: False)]
    assert "The worker was lost; another one goes on" in messages
