"""The real Docker Engine under a whole installation: one worker for all tests, a house for each that is left empty."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.embedded.stack import Stack
from tests.docker.house import House, furnished
from tests.docker.installation import Installation, installed
from tests.docker.sample import Sample, served


@pytest.fixture(scope="package")
async def installation(stack: Stack) -> AsyncIterator[Installation]:
    async with installed(stack) as running:
        yield running


@pytest.fixture
async def house(installation: Installation) -> AsyncIterator[House]:
    async with furnished(installation) as house:
        yield house


@pytest.fixture
async def sample(tmp_path: Path) -> AsyncIterator[Sample]:
    async with served(tmp_path) as running:
        yield running
