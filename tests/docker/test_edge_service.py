"""Caddy as a Swarm service: made and kept by the edge, met by whoever is to be served, and gone when it is not wanted any more."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.demo.load import loaded
from tests.docker.house import House, succeeded
from tests.docker.installation import Installation, eventually, free_port
from tests.docker.sample import Sample, version

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("serving")]


@pytest.fixture
async def service(installation: Installation) -> AsyncIterator[str]:
    """The name of the service, while it serves in place of the Caddy beside the other tests."""
    name = f"dokploy-edge-{str(await installation.database.fetchval('select id from installation'))[-12:]}"
    runtime = Path(tempfile.mkdtemp(prefix="dke-"))
    settings = {"DOKPLOY_EDGE": "service", "DOKPLOY_EDGE_RUNTIME": str(runtime), "DOKPLOY_EDGE_PORTS": f"{free_port()}-{free_port()}"}
    await _as(installation, settings)
    try:
        yield name
    finally:
        await _as(installation, {})
        await eventually(lambda: _gone(installation, name), within=60)  # the worker takes away what is not wanted any more
        await installation.command("volume", "rm", "--force", name)
        shutil.rmtree(runtime)


async def _as(installation: Installation, settings: dict[str, str]) -> None:
    """Have an edge and a worker with other settings."""
    for child in (installation.edges[-1], installation.workers[-1]):
        await child.stop()
    await installation.start_edge(**settings)
    await installation.start_worker(**settings)


async def _gone(installation: Installation, name: str) -> bool:
    return await installation.command("ps", "--all", "--quiet", "--filter", f"label=com.docker.swarm.service.name={name}") == []


async def test_an_application_is_served_by_it_and_loses_no_request(
    service: str, house: House, sample: Sample, installation: Installation, tell: Callable[[str], None]
) -> None:
    sample.commit(Dockerfile=version(1))
    app = await house.app(gitSource=sample.source, replicas=2)
    await app.deployed()
    assert await app.page() == "version 1"
    sample.commit(Dockerfile=version(2))
    async with loaded(app.ports[0]) as tally:
        succeeded(await installation.ended(await app.deploy()))
        await asyncio.sleep(1)
    tell(f"rolling update of 2 replicas, Caddy as a service: {tally}")
    assert not tally.failures, str(tally)
    assert set(tally.answers) == {"version 1", "version 2"}

    (before,) = await installation.command("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={service}")
    await installation.command("kill", before)
    assert await app.page() == "version 2", "the task that comes in its place is told what to serve"

    (volume,) = await installation.command("volume", "ls", "--quiet", "--filter", f"name={service}")
    assert volume == service
