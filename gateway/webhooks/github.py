"""GitHub: https://docs.github.com/en/webhooks/webhook-events-and-payloads."""

from typing import Final

import msgspec

from gateway.webhooks.contract import Provider
from gateway.webhooks.payloads import Push, notice
from gateway.webhooks.signatures import prefixed_digest
from models import GitProvider, WebhookReason
from schema.pushes import Notice

MOST_COMMITS: Final = 2048
"""A push of more lists these only."""


class Repository(msgspec.Struct):
    """What is read of a repository; some events have one with a name only."""

    clone_url: str | None = None
    ssh_url: str | None = None
    html_url: str | None = None

    @property
    def urls(self) -> tuple[str | None, ...]:
        """All that is known of where it is."""
        return self.clone_url, self.ssh_url, self.html_url


class About(msgspec.Struct):
    """Which repository any event is about; some are about none."""

    repository: Repository | None = None

    @property
    def urls(self) -> tuple[str | None, ...]:
        """Where it is."""
        return self.repository.urls if self.repository else ()


class GitHubPush(Push, kw_only=True):
    """A push."""

    forced: bool = False


_about = msgspec.json.Decoder(About)
_push = msgspec.json.Decoder(GitHubPush)


def parse(event: str, document: bytes) -> Notice:
    """Read an event."""
    urls = _about.decode(document).urls
    if event != "push":
        return notice(urls, reason=WebhookReason.ping if event == "ping" else WebhookReason.event)
    push = _push.decode(document)
    complete = not push.forced and len(push.commits or ()) < MOST_COMMITS
    return notice(urls, push.change(complete=complete))


GITHUB: Final = Provider(
    name=GitProvider.github,
    title="GitHub",
    signature=("X-Hub-Signature-256",),
    event=("X-GitHub-Event",),
    delivery=("X-GitHub-Delivery",),
    verify=prefixed_digest,
    parse=parse,
)
