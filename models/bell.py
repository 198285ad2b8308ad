"""What wakes whoever follows something: one subscription to Redis for the process, over which only ids come; the rest is in Postgres."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, Self
from uuid import UUID

import structlog

from models import background, valkey

log = structlog.get_logger()

CHANNEL: Final = "dokploy:events"
PATIENCE: Final = 1.0
"""Seconds after which a waiting follower looks again even when nobody woke it."""


class Ear:
    """Hears the bell for one follower: clear it, look at what is followed, then wait."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the follower, or let it not fall asleep."""
        self._rung.set()

    def clear(self) -> None:
        """Forget what has rung so far; whoever looks afterwards sees what it was about."""
        self._rung.clear()

    async def wait(self) -> None:
        """Wait until it has rung since it was cleared, `PATIENCE` seconds at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), PATIENCE)


class WideEar(Ear):
    """Hears the bell whoever is meant."""

    def __init__(self) -> None:
        super().__init__()
        self._noted: set[str] = set()

    def note(self, key: str) -> None:
        """Take note of an id, and wake the follower."""
        self._noted.add(key)
        self.ring()

    def noted(self) -> set[str]:
        """The ids since this was asked last."""
        found, self._noted = self._noted, set()
        return found


class Bell:
    """Wakes the followers of this process by the ids that they follow; without Redis they look once a second by themselves."""

    def __init__(self) -> None:
        self._ears: dict[str, set[Ear]] = {}
        self._wide: set[WideEar] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start listening."""
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, and waking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await valkey.close()

    @contextlib.contextmanager
    def heard(self, id: UUID) -> Iterator[Ear]:
        """What hears when somebody is woken who follows this id."""
        ear, key = Ear(), str(id)
        self._ears.setdefault(key, set()).add(ear)
        try:
            yield ear
        finally:
            ears = self._ears[key]
            ears.discard(ear)
            if not ears:
                del self._ears[key]

    async def _listen(self) -> None:
        while True:
            try:
                async with valkey.listener() as client, client.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self.ring(message["data"].decode(errors="replace"))
            except valkey.AWAY as error:
                log.warning("bell.redis_away", error=str(error))
                await asyncio.sleep(PATIENCE)

    @contextlib.contextmanager
    def heard_whoever_is_meant(self) -> Iterator["WideEar"]:
        """What hears whenever somebody is woken, and takes note of the ids."""
        ear = WideEar()
        self._wide.add(ear)
        try:
            yield ear
        finally:
            self._wide.discard(ear)

    def ring(self, key: str) -> None:
        """Wake the followers in this process of the id that is written so."""
        for ear in self._ears.get(key, ()):
            ear.ring()
        for wide in self._wide:
            wide.note(key)


bell: Final = Bell()


async def wake(*ids: UUID) -> None:
    """Wake whoever follows these ids; when Redis is away they look by themselves within a second."""
    try:
        async with valkey.client().pipeline(transaction=False) as pipeline:
            for id in ids:
                pipeline.publish(CHANNEL, str(id))
            await pipeline.execute()
    except valkey.AWAY as error:
        log.warning("bell.redis_away", error=str(error))


def wake_soon(*ids: UUID) -> None:
    """Wake whoever follows these ids, without waiting for it."""
    background.start(wake(*ids))
