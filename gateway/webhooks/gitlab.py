"""GitLab: https://docs.gitlab.com/user/project/integrations/webhook_events."""

from typing import Final

import msgspec

from gateway.webhooks.contract import Provider
from gateway.webhooks.payloads import Push, notice
from gateway.webhooks.signatures import token
from models import GitProvider, WebhookReason
from schema.pushes import Notice

PUSH: Final = "Push Hook"
TAG: Final = "Tag Push Hook"
SYSTEM: Final = "System Hook"
"""Of a whole installation: which event it is, is said inside."""


class Project(msgspec.Struct):
    """What is read of a project."""

    git_http_url: str | None = None
    git_ssh_url: str | None = None
    web_url: str | None = None


class About(msgspec.Struct):
    """Which project any event is about, and which event it is."""

    project: Project | None = None
    object_kind: str | None = None
    event_name: str | None = None

    @property
    def urls(self) -> tuple[str | None, ...]:
        """Where the project is."""
        return (self.project.git_http_url, self.project.git_ssh_url, self.project.web_url) if self.project else ()


class GitLabPush(Push, kw_only=True):
    """A push; of many commits the last 20 are listed."""

    total_commits_count: int | None = None


_about = msgspec.json.Decoder(About)
_push = msgspec.json.Decoder(GitLabPush)


def parse(event: str, document: bytes) -> Notice:
    """Read an event."""
    about = _about.decode(document)
    if event == TAG or about.object_kind == "tag_push":
        return notice(about.urls, reason=WebhookReason.tag)
    if event != PUSH and (event != SYSTEM or "push" not in (about.object_kind, about.event_name)):
        return notice(about.urls, reason=WebhookReason.event)
    push = _push.decode(document)
    complete = push.total_commits_count is not None and push.total_commits_count == len(push.commits or ())
    return notice(about.urls, push.change(complete=complete))


GITLAB: Final = Provider(
    name=GitProvider.gitlab,
    title="GitLab",
    signature=("X-Gitlab-Token",),
    event=("X-Gitlab-Event",),
    delivery=("Idempotency-Key", "X-Gitlab-Event-UUID"),
    verify=token,
    parse=parse,
)
