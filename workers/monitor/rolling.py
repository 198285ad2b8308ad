"""Coarser values of what was measured, every minute, and the end of what is old."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from models import rollups
from models.database import AWAY

log = structlog.get_logger()

INTERVAL: Final = 60.0
"""Seconds from the end of one time to the next one."""


async def rolling() -> None:
    """Roll up again and again, until cancelled; an absent database, which the rounds report, is waited for."""
    while True:
        try:
            await rollups.roll_up(datetime.now(UTC))
        except AWAY as error:
            log.debug("metrics.away", error=type(error).__name__)
        except Exception:
            log.exception("metrics.unexpected")
        await asyncio.sleep(INTERVAL)
