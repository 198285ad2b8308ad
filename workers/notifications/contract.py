"""What is told, and what a type of channels is, as data."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from models import ChannelType, NotificationEvent
from workers.notifications import wording


class NotTaken(Exception):
    """A receiver has not taken a message."""

    def __init__(self, sentence: str, *, lasting: bool = False, after: timedelta | None = None) -> None:
        super().__init__(sentence)
        self.lasting = lasting
        """Whether it would not take it the next time either."""
        self.after = after
        """How long it wants to be left alone."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is told, for programs; `title`, `text` and `tone` are the same for people."""

    id: UUID
    """Always the same, however often it is sent."""
    event: NotificationEvent
    at: datetime
    """When it happened."""
    data: Mapping[str, Any]
    """In the words of the API."""

    @property
    def title(self) -> str:
        """One short line."""
        return wording.title(self.event, self.data)

    @property
    def text(self) -> str:
        """What else there is to say, in a few lines; it may be empty."""
        return wording.text(self.event, self.data)

    @property
    def tone(self) -> wording.Tone:
        """How it is meant."""
        return wording.tone(self.event, self.data)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A type of channels."""

    type: ChannelType
    deliver: Callable[[Message, Mapping[str, Any]], Awaitable[str | None]]
    """Tell a channel with such a target. Returns whom it did not reach, if others have it; raises `NotTaken`."""
