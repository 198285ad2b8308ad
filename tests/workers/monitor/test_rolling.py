"""Rolling up goes on, whatever is away meanwhile."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from workers.monitor import rolling


async def rolled(monkeypatch: pytest.MonkeyPatch, work: Callable[[datetime], bool]) -> list[str]:
    """The events that are logged while it rolls up for a moment."""

    async def roll_up(now: datetime) -> bool:
        return work(now)

    monkeypatch.setattr(rolling.rollups, "roll_up", roll_up)
    monkeypatch.setattr(rolling, "INTERVAL", 0.01)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(rolling.rolling())
        await asyncio.sleep(0.2)
        running.cancel()
        await asyncio.wait([running])
    return [entry["event"] for entry in logs if entry["log_level"] != "debug"]


@pytest.mark.parametrize(("error", "said"), [(ConnectionError(), set()), (ValueError("odd"), {"metrics.unexpected"})])
async def test_it_is_done_again_and_again(monkeypatch: pytest.MonkeyPatch, error: Exception, said: set[str]) -> None:
    times: list[datetime] = []

    def work(now: datetime) -> bool:
        times.append(now)
        if len(times) == 2:
            raise error
        return True

    assert set(await rolled(monkeypatch, work)) == said
    assert len(times) > 3
    assert datetime.now(UTC) - times[-1] < timedelta(seconds=5)
