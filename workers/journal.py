"""The log of a running deployment: lines are gathered, stored in batches with their sequence numbers, and never hold up a pipe."""

import asyncio
import base64
from collections.abc import Iterable
from urllib.parse import quote
from uuid import UUID

from models import EventKind, LogLevel
from models.database import database
from models.events import Entry, append, wake

INTERVAL = 0.15
"""Seconds between two batches."""
MOST_LINES = 20_000
"""Lines kept per stage; what comes after is counted, not kept."""
SHORTEST_SECRET = 4
REDACTED = "[redacted]"


class LeaseLost(Exception):
    """The deployment belongs to somebody else now, or has ended."""


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
        """The text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text


class Journal:
    """The log and the progress of one stage, written only as long as this worker holds the deployment."""

    def __init__(self, deployment: UUID, epoch: int, worker: str, secrets: Iterable[str], progress: int = 0) -> None:
        self._fence = (deployment, epoch, worker)
        self.redact = Redactor(secrets)
        self._entries: list[Entry] = []
        self._lines = 0
        self._progress = self._told = progress
        self.last: list[str] = []

    def say(self, message: str, level: LogLevel = LogLevel.info) -> None:
        """Add a line; returns at once."""
        self._lines += 1
        text = self.redact(message)
        self.last = [*self.last[-29:], text]
        if self._lines == MOST_LINES:
            text, level = f"… the log is cut here after {MOST_LINES} lines", LogLevel.warning
        if self._lines <= MOST_LINES:
            self._entries.append(Entry(EventKind.log, text, level, self._progress))

    def advance(self, percent: int) -> None:
        """Raise the deployment's progress, 0–100; it never goes back."""
        self._progress = max(self._progress, min(percent, 99))

    async def flush(self) -> None:
        """Store what has gathered. Raises `LeaseLost` when this worker no longer holds the deployment."""
        entries, self._entries = self._entries, []
        if self._progress > self._told:
            self._told = self._progress
            entries.append(Entry(EventKind.progress, "", progress=self._progress))
        if not entries:
            return
        deployment, epoch, worker = self._fence
        held = await append(database(), deployment, entries, guard="epoch = $8 and worker = $9", values=[epoch, worker])
        if not held:
            raise LeaseLost
        await wake(deployment)

    async def run(self) -> None:
        """Store batches until cancelled. Raises `LeaseLost`."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush()
