"""The log of a running deployment: lines are gathered, stored in batches with their sequence numbers, and never hold up a pipe."""

import asyncio
import base64
import contextlib
from collections.abc import Iterable
from urllib.parse import quote
from uuid import UUID

import structlog

from models import EventKind, LogLevel
from models.bell import wake
from models.database import AWAY, database
from models.events import Entry, append
from workers.processes import CUT

log = structlog.get_logger()

INTERVAL = 0.15
"""Seconds between two batches."""
AWAY_PAUSE = 0.5
"""Seconds until an absent database is tried again."""
BATCH = 500
"""Lines stored by one statement."""
MOST_LINES = 20_000
MOST_CHARACTERS = 4_000_000
"""What is kept of a stage's log; the rest is read and thrown away."""
SHORTEST_SECRET = 4
REDACTED = "[redacted]"


class LeaseLost(Exception):
    """The deployment belongs to somebody else now, or has ended."""


class CancelRequested(Exception):
    """Somebody has asked for the end of this deployment."""


class Redactor:
    """Takes the known secrets out of a line, also base64- and url-encoded."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found: set[str] = set()
        for secret in secrets:
            for line in [secret, *secret.splitlines()]:
                if len(line) >= SHORTEST_SECRET:
                    found |= {line, quote(line, safe=""), base64.b64encode(line.encode()).decode()}
        self._secrets = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without the secrets, nor the beginning of one where a long line was cut."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        if not text.endswith(CUT):
            return text
        kept = text.removesuffix(CUT)
        for secret in self._secrets:
            for length in range(len(secret) - 1, SHORTEST_SECRET - 1, -1):
                if kept.endswith(secret[:length]):
                    return kept[:-length] + REDACTED + CUT
        return text


class Journal:
    """The log and the progress of one stage, written only as long as this worker holds the deployment."""

    def __init__(self, deployment: UUID, epoch: int, worker: str, secrets: Iterable[str], progress: int = 0) -> None:
        self._fence = (deployment, epoch, worker)
        self._secrets = list(secrets)
        self.redact = Redactor(self._secrets)
        self._entries: list[Entry] = []
        self._storing = asyncio.Lock()
        self._lines = self._characters = 0
        self._progress = self._told = progress
        self._cut = False
        self.last: list[str] = []

    def conceal(self, secrets: Iterable[str]) -> None:
        """Keep more secrets out of the log."""
        self._secrets += secrets
        self.redact = Redactor(self._secrets)

    def say(self, message: str, level: LogLevel = LogLevel.info) -> None:
        """Add a line; returns at once."""
        text = self.redact(message)
        self.last = [*self.last[-29:], text]
        if self._cut:
            return
        self._lines += 1
        self._characters += len(text)
        self._cut = self._lines > MOST_LINES or self._characters > MOST_CHARACTERS
        if self._cut:
            text, level = "… the log of this stage is cut here", LogLevel.warning
        self._entries.append(Entry(EventKind.log, text, level, self._progress))

    def advance(self, percent: int) -> None:
        """Raise the deployment's progress, 0–100; it never goes back."""
        self._progress = max(self._progress, min(percent, 99))

    async def flush(self) -> None:
        """Store what has gathered; one caller at a time, and what could not be stored stays for the next.

        Raises `LeaseLost` when this worker no longer holds the deployment, and whatever the database raises.
        """
        async with self._storing:
            entries = self._entries[:BATCH]
            if self._progress > self._told and len(entries) == len(self._entries):
                entries = [*entries, Entry(EventKind.progress, "", progress=self._progress)]
            if not entries:
                return
            deployment, epoch, worker = self._fence
            held = await append(database(), deployment, entries, guard="epoch = $8 and worker = $9", values=[epoch, worker])
            if not held:
                raise LeaseLost
            self._told = max(self._told, *(entry.progress for entry in entries))
            del self._entries[: sum(entry.kind is EventKind.log for entry in entries)]
        await wake(deployment)

    async def drain(self) -> None:
        """Store everything. Raises as `flush` does."""
        await self.flush()
        while self._entries:
            await self.flush()

    async def run(self, ended: asyncio.Event) -> None:
        """Store batches until the stage has ended; an absent database is waited for. Raises `LeaseLost`."""
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), INTERVAL)
            try:
                await self.flush()
            except AWAY as error:
                log.warning("journal.database_away", error=str(error))
                await asyncio.sleep(AWAY_PAUSE)
