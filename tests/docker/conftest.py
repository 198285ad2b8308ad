"""The real Docker Engine under a whole installation: one worker for all tests, a house for each that is left empty."""

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.demo.base_image import BASE_IMAGE
from gateway.embedded.stack import Stack
from tests.clients.programs import unavailable
from tests.docker.database_images import NoImages, ensure_database_images, lacking
from tests.docker.house import House
from tests.docker.installation import Installation, installed
from tests.docker.sample import SERVING, Sample, served


@pytest.fixture(scope="package")
async def installation(stack: Stack) -> AsyncIterator[Installation]:
    async with installed(stack) as running:
        yield running


@pytest.fixture(scope="package")
async def database_images() -> dict[str, str]:
    """An image of each database engine."""
    try:
        return await ensure_database_images()
    except NoImages:
        if sentence := lacking():
            unavailable(f"NO DATABASE IMAGES: {sentence}")
        raise


@pytest.fixture(scope="package")
async def serving(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    context = tmp_path_factory.mktemp("serving")
    shutil.copy2(Path(sys.executable).parent / "caddy", context / "caddy")
    (context / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\nCOPY caddy /bin/caddy\n")
    await installation.command("build", "--quiet", "--tag", SERVING, str(context))
    yield SERVING
    await installation.command("image", "rm", "--force", SERVING)


@pytest.fixture(scope="package")
async def left(installation: Installation) -> AsyncIterator[list[House]]:
    """The houses that were left, and are being emptied while the next tests run."""
    houses: list[House] = []
    yield houses
    spares = House(installation, "spares")
    for made in installation.spares.values():
        await spares.taken_in(made)
    await spares.leave()
    for house in (*houses, spares):
        await house.empty()


@pytest.fixture
async def house(request: pytest.FixtureRequest, installation: Installation, left: list[House]) -> AsyncIterator[House]:
    if installation.workers[-1].code is not None:  # a test that failed in between may have left nobody to work
        await installation.start_worker()
    house = House(installation, request.node.name)
    yield house
    await house.leave()
    left.append(house)
    for each in [each for each in left if await each.forgotten()]:
        left.remove(each)
        await each.empty()


@pytest.fixture
async def sample(tmp_path: Path) -> AsyncIterator[Sample]:
    async with served(tmp_path) as running:
        yield running
