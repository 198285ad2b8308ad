"""What a webhook tells: which repository it is about, and which branches moved."""

from dataclasses import dataclass

from models import WebhookReason


@dataclass(frozen=True, slots=True)
class Change:
    """One branch that moved, or why nothing follows from it."""

    branch: str | None = None
    commit: str | None = None
    """What the branch is at now, 7 to 64 hexadecimal digits; None is the branch's head, whatever that is."""
    message: str = ""
    """The message of that commit."""
    paths: tuple[str, ...] | None = None
    """The files that changed; None when they were not told, or not all of them."""
    reason: WebhookReason | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A webhook that was understood. One that is no push has a reason, and no changes."""

    repositories: frozenset[str]
    """The keys (`models.repositories`) of the URLs by which it names its repository."""
    changes: tuple[Change, ...] = ()
    reason: WebhookReason | None = None
