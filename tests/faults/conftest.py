"""Faults on purpose: an installation of real processes, and everything around it made slow, silent, dead or full."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.installation import Installation, installed
from tests.faults.invariants import violations
from tests.faults.source import Source, offered

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("docker"):
            item.add_marker("faults")


@pytest.fixture(scope="package")
async def shared() -> AsyncIterator[Installation]:
    """One installation for all tests of this directory."""
    async with installed() as running:
        yield running


@pytest.fixture
async def installation(shared: Installation) -> AsyncIterator[Installation]:
    """The installation, whole at the beginning and again at the end, when nothing may be wrong with it."""
    await shared.whole()
    if await violations(shared, within=0):
        await shared.empty()  # a test that failed leaves what it has found to nobody
    yield shared
    await shared.whole()
    await shared.rest()
    assert await violations(shared) == []
    assert shared.stand_in.unknown == []


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Source]:
    async with offered(tmp_path) as running:
        yield running
