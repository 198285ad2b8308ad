"""What a host's volumes take, as the Engine tells it, whenever that is known."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Final, Protocol

import structlog

from models import background
from workers.engine import EngineUnavailable

log = structlog.get_logger()

LONGEST: Final = 300.0
"""Seconds after which an answer about volumes is no more waited for."""
REST: Final = 9
"""How many times as long as the Engine took for an answer it is then left alone: its work is a walk through every file."""


class Measuring(Protocol):
    """What tells the sizes of volumes (`workers.engine.Engine`)."""

    async def volume_usage(self, seconds: float) -> dict[str, int]:
        """Bytes of volumes by their names. Raises `EngineUnavailable`."""


class Volumes:
    """The sizes of this host's volumes as they were told last; to tell them may take longer than a round."""

    def __init__(self, engine: Measuring) -> None:
        self._engine = engine
        self._sizes: Mapping[str, int] = {}
        self._asking: asyncio.Task[None] | None = None
        self._due = 0.0
        self._unknown = False

    async def sizes(self, within: float) -> Mapping[str, int]:
        """Bytes by name: the present ones if they come within so many seconds, else those of before."""
        if self._asking is None and monotonic() >= self._due:
            self._asking = background.start(self._ask())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=within)
        return self._sizes

    async def close(self) -> None:
        """Wait for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        """Ask once; that there is no answer is reported when it begins."""
        began = monotonic()
        try:
            self._sizes = await self._engine.volume_usage(LONGEST)
            self._unknown = False
        except EngineUnavailable as error:
            if not self._unknown:
                log.warning("monitor.volumes_unknown", error=str(error))
            self._unknown = True
        except Exception:
            log.exception("monitor.unexpected", part="volumes")
        finally:
            self._due = monotonic() + REST * (monotonic() - began)
            self._asking = None
