"""The push event as GitHub words it, and GitLab and Gitea after it: `ref`, `before`, `after` and `commits`."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from models import WebhookReason
from models.repositories import key_of
from schema.git_sources import COMMIT
from schema.pushes import Change, Notice

_BRANCH: Final = "refs/heads/"
_TAG: Final = "refs/tags/"
_COMMIT: Final = re.compile(COMMIT)
MOST_PATHS, MOST_LETTERS = 3000, 50_000
"""Changed files of one push that are looked at, and the letters of their names; of more it is not known what changed."""


class Commit(msgspec.Struct):
    """A commit of a push, with the files that it touched."""

    id: str = ""
    message: str = ""
    added: list[str] | None = None
    modified: list[str] | None = None
    removed: list[str] | None = None

    @property
    def paths(self) -> list[str] | None:
        """The files, None when they were not told."""
        told = [each for each in (self.added, self.modified, self.removed) if each is not None]
        return [path for each in told for path in each] if told else None


class Push(msgspec.Struct, kw_only=True):
    """What is read of a push to one branch or tag."""

    ref: str
    before: str = ""
    after: str = ""
    deleted: bool = False
    commits: list[Commit] | None = None
    head_commit: Commit | None = None

    def change(self, *, complete: bool = True) -> Change:
        """What the push means; `complete` says whether all its commits are listed. Raises `msgspec.ValidationError`."""
        branch, reason = self._moved()
        if reason is not None:
            return Change(branch, reason=reason)
        last = self._last()
        commit = self.after or (last.id if last else "")
        if commit and not _COMMIT.fullmatch(commit):
            raise msgspec.ValidationError("`after` is no commit")
        return Change(branch, commit or None, last.message if last else "", self._paths(complete))

    def _moved(self) -> tuple[str | None, WebhookReason | None]:
        """The branch, and why nothing follows from its moving."""
        branch = self.ref.removeprefix(_BRANCH) if self.ref.startswith(_BRANCH) else None
        if branch is None:
            return None, WebhookReason.tag if self.ref.startswith(_TAG) else WebhookReason.event
        if self.deleted or is_nothing(self.after):
            return branch, WebhookReason.branch_deleted
        if self.commits == [] and self.after in ("", self.before):
            return branch, WebhookReason.empty
        return branch, None

    def _last(self) -> Commit | None:
        """The commit that the branch is at, where it is told."""
        told = [*(self.commits or ()), *([self.head_commit] if self.head_commit else ())]
        named = [each for each in told if each.id == self.after]
        return named[-1] if named else self.commits[-1] if self.commits and not self.after else None

    def _paths(self, complete: bool) -> tuple[str, ...] | None:
        """The files that changed, where all of them are told: not of a branch that is new, or was moved elsewhere by force."""
        if not complete or not self.commits or is_nothing(self.before):
            return None
        found: dict[str, None] = {}
        for commit in self.commits:
            if commit.paths is None:
                return None
            found |= dict.fromkeys(commit.paths)
        return tuple(found) if len(found) <= MOST_PATHS and sum(map(len, found)) <= MOST_LETTERS else None


def is_nothing(commit: str) -> bool:
    """Whether this stands for no commit: where a branch was before it was made, and is after it was deleted."""
    return bool(commit) and not commit.strip("0")


def notice(urls: Iterable[str | None], *changes: Change, reason: WebhookReason | None = None) -> Notice:
    """What a webhook tells of the repository that has these URLs."""
    keys = {key for url in urls if url and (key := key_of(url))}
    return Notice(frozenset(keys), changes, reason)
