"""The real engine stops answering in the middle of a rollout, and comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.docker.house import House, succeeded
from tests.docker.installation import Installation, eventually
from tests.docker.sample import HEALTHCHECK, Sample, dockerfile
from workers.engine import READ_DEADLINE

pytestmark = pytest.mark.docker

PID_FILES = (Path("/var/run/docker.pid"), Path("/run/docker.pid"))


@asynccontextmanager
async def silent() -> AsyncIterator[None]:
    """The engine stopped by a signal while the block lasts: whoever asks it hears nothing."""
    pid = int(next(file for file in PID_FILES if file.exists()).read_text())
    assert "dockerd" in Path(f"/proc/{pid}/cmdline").read_text()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_rollout_outlasts_an_engine_that_does_not_answer(house: House, sample: Sample, installation: Installation) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    await app.deployed()
    sample.commit(index="version 2\n", Dockerfile=dockerfile(HEALTHCHECK.replace("1s", "4s")))
    id = await app.deploy()

    async def updating() -> bool:
        service = await app.service()
        return bool(service and service["Spec"]["Labels"]["dokploy.deployment"] == id)

    await eventually(updating)
    async with silent():
        await asyncio.sleep(READ_DEADLINE + 3)
    succeeded(await installation.ended(id))
    messages = [line["message"] for line in await installation.logs(id)]
    away, back = "The Docker Engine is away: waiting for it", "The Docker Engine is back: once more"
    assert [message for message in messages if message in (away, back)][:2] == [away, back]
    assert [task.deployment for task in await app.running()] == [id]
