"""Senders of webhooks as they are from outside: recorded payloads, and headers and signatures as each of them makes them."""

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
SECRET: Final = "a secret that nobody guesses"
_numbers = itertools.count(1)


def _github(body: bytes, secret: str, event: str, delivery: str | None) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    legacy = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    named = {"X-GitHub-Delivery": delivery} if delivery else {}
    return {
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Event": event,
        "X-Hub-Signature": f"sha1={legacy}",
        "X-Hub-Signature-256": f"sha256={digest}",
        **named,
    }


def _gitlab(body: bytes, secret: str, event: str, delivery: str | None) -> dict[str, str]:
    named = {"Idempotency-Key": delivery, "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e"} if delivery else {}
    return {"X-Gitlab-Event": event, "X-Gitlab-Token": secret, "X-Gitlab-Instance": "https://gitlab.com", **named}


def _gitea(body: bytes, secret: str, event: str, delivery: str | None) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    named = {"X-Gitea-Delivery": delivery} if delivery else {}
    return {"X-Gitea-Event": event, "X-Gitea-Event-Type": event, "X-Gitea-Signature": digest, **named}


def _bitbucket(body: bytes, secret: str, event: str, delivery: str | None) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    named = {"X-Request-UUID": delivery} if delivery else {}
    return {"X-Event-Key": event, "X-Hub-Signature": f"sha256={digest}", "X-Attempt-Number": "1", **named}


@dataclass(frozen=True)
class Sender:
    """A provider: how it signs, and what it has sent."""

    name: str
    headers: Callable[[bytes, str, str, str | None], dict[str, str]]
    push: str
    """Its name of a push."""
    repo_url: str
    """The repository of its recorded payloads."""
    signs: bool = True
    """Whether the body is part of the proof."""
    tells_files: bool = True
    sends_forms: bool = False

    @property
    def commit(self) -> str:
        """What the recorded push brings its branch to."""
        push = self.payload("push")
        found: str = push["after"] if "after" in push else push["push"]["changes"][0]["new"]["target"]["hash"]
        return found

    def payload(self, name: str) -> dict[str, Any]:
        """One of its recorded payloads."""
        found: dict[str, Any] = json.loads((HERE / self.name / f"{name}.json").read_text())
        return found

    @property
    def others(self) -> Mapping[str, tuple[str, str]]:
        """Recorded payloads that are no push to a branch: the event and the reason, by name."""
        told = json.loads((HERE / self.name / "others.json").read_text())
        return {name: (event, reason) for name, (event, reason) in told.items()}


@dataclass(frozen=True)
class Sending:
    """A request."""

    sender: Sender
    body: bytes
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return f"/webhooks/{self.sender.name}"


def delivery() -> str:
    """A name that no delivery had before."""
    return f"72d3162e-cc78-11e3-81ab-{next(_numbers):012x}"


def sending(
    sender: Sender, payload: Any, *, secret: str = SECRET, event: str | None = None, name: str | None = None, nameless: bool = False
) -> Sending:
    """A payload as a sender sends it."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    made = sender.headers(body, secret, event or sender.push, None if nameless else name or delivery())
    return Sending(sender, body, {"Content-Type": "application/json", **made})


SENDERS: Final = (
    Sender("github", _github, "push", "https://github.com/user/myapp", sends_forms=True),
    Sender("gitlab", _gitlab, "Push Hook", "https://gitlab.com/group/sub/myapp.git", signs=False),
    Sender("gitea", _gitea, "push", "https://codeberg.org/user/myapp", sends_forms=True),
    Sender(
        "bitbucket",
        _bitbucket,
        "repo:push",
        "https://bitbucket.org/user/myapp",
        tells_files=False,
    ),
)
