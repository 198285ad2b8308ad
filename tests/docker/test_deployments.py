"""From a git repository to a page that answers, and to the next version of it."""

import pytest

from tests.docker.house import House
from tests.docker.sample import Sample, dockerfile

pytestmark = pytest.mark.docker


async def test_a_repository_becomes_a_running_page(house: House, sample: Sample) -> None:
    app = await house.app(gitSource=sample.source)
    deployment = await app.deployed()
    assert await app.page() == "version 1"
    print(deployment)
