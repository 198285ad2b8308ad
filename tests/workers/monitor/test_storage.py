"""What volumes take: as the Engine tells it, and while it takes its time."""

import asyncio
from time import monotonic

import pytest
import structlog

from workers.engine import EngineUnavailable
from workers.monitor import storage
from workers.monitor.storage import Volumes


class Told:
    """An Engine that takes its time."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {"v": 1}
        self.seconds = 0.0
        self.error: Exception | None = None
        self.asked = 0

    async def volume_usage(self, seconds: float) -> dict[str, int]:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return dict(self.sizes)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "REST", 0)


@pytest.mark.usefixtures("restless")
async def test_sizes_are_the_present_ones() -> None:
    engine = Told()
    volumes = Volumes(engine)
    assert await volumes.sizes(1) == {"v": 1}
    engine.sizes = {"v": 2, "w": 3}
    assert await volumes.sizes(1) == {"v": 2, "w": 3}


async def test_nobody_waits_longer_than_they_said_and_the_answer_is_there_later() -> None:
    engine = Told()
    engine.seconds = 0.3
    volumes = Volumes(engine)
    began = monotonic()
    assert await volumes.sizes(0.05) == {}
    assert await volumes.sizes(0.05) == {}
    assert monotonic() - began < 0.25
    assert await volumes.sizes(1) == {"v": 1}
    assert engine.asked == 1


async def test_an_engine_that_takes_long_is_left_alone_for_longer() -> None:
    engine = Told()
    engine.seconds = 0.1
    volumes = Volumes(engine)
    assert await volumes.sizes(1) == {"v": 1}
    engine.sizes = {"v": 2}
    assert await volumes.sizes(1) == {"v": 1}
    assert engine.asked == 1
    await asyncio.sleep(storage.REST * 0.12)
    assert await volumes.sizes(1) == {"v": 2}


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("error", [EngineUnavailable("a disk usage operation is already running"), ValueError("odd")])
async def test_the_sizes_of_before_stay_while_there_are_no_others(error: Exception) -> None:
    engine = Told()
    volumes = Volumes(engine)
    await volumes.sizes(1)
    engine.error = error
    assert await volumes.sizes(1) == {"v": 1}
    engine.error, engine.sizes = None, {"v": 4}
    assert await volumes.sizes(1) == {"v": 4}


@pytest.mark.usefixtures("restless")
async def test_that_there_is_no_answer_is_said_once() -> None:
    engine = Told()
    engine.error = EngineUnavailable("away")
    volumes = Volumes(engine)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await volumes.sizes(1)
        engine.error = None
        await volumes.sizes(1)
        engine.error = EngineUnavailable("away again")
        await volumes.sizes(1)
    assert [entry["error"] for entry in logs] == ["away", "away again"]


async def test_closing_waits_for_no_answer() -> None:
    engine = Told()
    engine.seconds = 60
    volumes = Volumes(engine)
    await volumes.sizes(0.01)
    began = monotonic()
    await volumes.close()
    assert monotonic() - began < 1
    await volumes.close()
