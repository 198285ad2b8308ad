"""Gitea, and Forgejo, which sends the same under names of its own: https://docs.gitea.com/usage/webhooks."""

from typing import Final

import msgspec

from gateway.webhooks.contract import Provider
from gateway.webhooks.github import About
from gateway.webhooks.payloads import Push, notice
from gateway.webhooks.signatures import plain_digest
from models import GitProvider, WebhookReason
from schema.pushes import Notice


class GiteaPush(Push, kw_only=True):
    """A push; of many commits the first ones are listed."""

    total_commits: int | None = None


_about = msgspec.json.Decoder(About)
_push = msgspec.json.Decoder(GiteaPush)


def parse(event: str, document: bytes) -> Notice:
    """Read an event. A hook is tried by a push like any other; a branch or tag that comes or goes is an event of its own."""
    urls = _about.decode(document).urls
    if event != "push":
        return notice(urls, reason=WebhookReason.event)
    push = _push.decode(document)
    complete = push.total_commits is not None and push.total_commits == len(push.commits or ())
    return notice(urls, push.change(complete=complete))


GITEA: Final = Provider(
    name=GitProvider.gitea,
    title="Gitea",
    signature=("X-Forgejo-Signature", "X-Gitea-Signature"),
    event=("X-Forgejo-Event", "X-Gitea-Event"),
    delivery=("X-Forgejo-Delivery", "X-Gitea-Delivery"),
    verify=plain_digest,
    parse=parse,
)
