"""Bitbucket Cloud: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads. It does not tell which files changed."""

from typing import Final

import msgspec

from gateway.webhooks.contract import Provider
from gateway.webhooks.payloads import Commit, Push, notice
from gateway.webhooks.signatures import prefixed_digest
from models import GitProvider, WebhookReason
from schema.pushes import Change, Notice

PUSH: Final = "repo:push"
PING: Final = "diagnostics:ping"


class Link(msgspec.Struct):
    """Where something is."""

    href: str = ""


class Links(msgspec.Struct):
    """Where a repository is."""

    html: Link | None = None


class Repository(msgspec.Struct):
    """What is read of a repository."""

    links: Links | None = None


class Target(msgspec.Struct):
    """The commit that a branch is at."""

    hash: str = ""
    message: str = ""


class Reference(msgspec.Struct):
    """A branch or a tag."""

    type: str = ""
    name: str = ""
    target: Target | None = None


class Moved(msgspec.Struct):
    """A branch or tag before and after: none before when it is new, none after when it is gone."""

    old: Reference | None = None
    new: Reference | None = None

    def change(self) -> Change:
        """What that means. Raises `msgspec.ValidationError`."""
        reference = self.new or self.old
        if reference is None or reference.type not in ("branch", "named_branch"):
            return Change(reason=WebhookReason.tag if reference else WebhookReason.empty)
        if self.new is None:
            return Change(reference.name, reason=WebhookReason.branch_deleted)
        target = self.new.target or Target()
        before = self.old.target.hash if self.old and self.old.target else ""
        commits = [Commit(target.hash, target.message)] if target.hash and target.hash != before else []
        return Push(ref=f"refs/heads/{reference.name}", before=before, after=target.hash, commits=commits).change()


class Moves(msgspec.Struct):
    """All that one push moved."""

    changes: list[Moved] = []


class BitbucketPush(msgspec.Struct):
    """Any event; one of a push has what it moved."""

    repository: Repository | None = None
    push: Moves | None = None


_push = msgspec.json.Decoder(BitbucketPush)


def parse(event: str, document: bytes) -> Notice:
    """Read an event."""
    found = _push.decode(document)
    links = found.repository.links if found.repository else None
    urls = [links.html.href] if links and links.html else []
    if event != PUSH:
        return notice(urls, reason=WebhookReason.ping if event == PING else WebhookReason.event)
    if found.push is None:
        raise msgspec.ValidationError("there is no `push`")
    changes = [each.change() for each in found.push.changes]
    return notice(urls, *changes, reason=None if changes else WebhookReason.empty)


BITBUCKET: Final = Provider(
    name=GitProvider.bitbucket,
    title="Bitbucket",
    signature=("X-Hub-Signature",),
    event=("X-Event-Key",),
    delivery=("X-Request-UUID",),
    verify=prefixed_digest,
    parse=parse,
)
