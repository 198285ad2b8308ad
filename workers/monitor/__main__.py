"""The monitor's process: a round every ten seconds until a signal, whatever is away meanwhile."""

import asyncio
import contextlib
import signal
from time import time
from typing import Final

import structlog

from models import garbage
from models.database import AWAY, connected
from models.logs import configure
from models.metrics import SAMPLES
from workers.engine import Engine, EngineUnavailable
from workers.monitor.connections import Connections
from workers.monitor.followers import Followers
from workers.monitor.log_writer import LogWriter
from workers.monitor.rolling import rolling
from workers.monitor.sample import Sampler

log = structlog.get_logger()

INTERVAL: Final = float(SAMPLES.seconds)
"""Seconds from the beginning of one round to that of the next; they begin at multiples of it, on all hosts at once."""
CONNECTIONS: Final = 4
"""One measures, one rolls up, one stores lines, one looks for whose they are."""


async def monitor() -> None:
    """Measure until cancelled."""
    async with connected(CONNECTIONS), Engine() as engine, Engine(streams=True) as printing:
        sampler, writer = Sampler(engine, Connections()), LogWriter()
        log.info("monitor.ready")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(rounds(sampler, INTERVAL))
                group.create_task(rolling())
                group.create_task(Followers(printing, writer).run())
                group.create_task(writer.run())
        finally:
            await sampler.close()


async def rounds(sampler: Sampler, interval: float) -> None:
    """Do one round after the other, until cancelled; what is away is reported once, and that it is back."""
    away = ""
    while True:
        before, error = away, ""
        try:
            await sampler.round()
            away = ""
        except EngineUnavailable as found:
            away, error = "engine", str(found)
        except AWAY as found:
            away, error = "database", type(found).__name__
        except Exception:
            log.exception("monitor.unexpected")
        if away and away != before:
            log.warning("monitor.away", part=away, error=error)
        elif before and not away:
            log.info("monitor.back", part=before)
        await asyncio.sleep(interval - time() % interval)


async def _until_told() -> None:
    running = asyncio.current_task()
    if running is None:
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    garbage.set_aside()
    with contextlib.suppress(asyncio.CancelledError):
        await monitor()


def main() -> None:
    """Work until SIGINT or SIGTERM."""
    configure()
    asyncio.run(_until_told())


if __name__ == "__main__":
    main()
