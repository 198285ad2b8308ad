"""The stand-in in this process, and this process configured to use it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.engine import StandIn
from tests.faults.engine.tasks import Pace
from workers import docker
from workers.docker import Client
from workers.engine import Engine

QUICK = Pace(prepare=0.01, start=0.01, healthy=0.03, stop=0.03, monitor=0.2, restart=0.1)


@pytest.fixture
async def stand_in(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    async with StandIn(short_tmp, QUICK) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running
        assert running.unknown == []


@pytest.fixture
async def client(stand_in: StandIn) -> Client:
    return await docker.choose(stand_in.environment["DOKPLOY_DOCKER"])


@pytest.fixture
async def engine(stand_in: StandIn) -> AsyncIterator[Engine]:
    async with Engine() as reads:
        yield reads
