"""What opens the source of a run: the token, the deploy key and the keys of its host, as they are when it is cloned."""

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tortoise.transactions import in_transaction

import models
from models import Application, GitProvider
from models.repositories import host_of, provider_in, provider_of
from workers.git_argv import Source
from workers.run import Run

USERS: Final = MappingProxyType(
    {GitProvider.github: "x-access-token", GitProvider.gitlab: "oauth2", GitProvider.gitea: "oauth2", GitProvider.bitbucket: "x-token-auth"}
)
"""Whose password a token is."""
HOST_KEYS: Final = """\
github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
gitlab.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf
bitbucket.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO
"""
"""Those that these hosts publish."""
PUBLISHED: Final = (GitProvider.github, GitProvider.gitlab, GitProvider.bitbucket)


@dataclass(frozen=True)
class Access:
    """What is known of how to get at a source. Secrets are never shown."""

    token: str | None = None
    username: str = "x-access-token"
    private_key: str | None = None
    host_keys: str | None = None

    @classmethod
    def of(cls, row: Application, url: str) -> "Access":
        """That of an application; nothing that was made for another host than the URL's is shown to it."""
        stored = row.git_source or {}
        if not stored or host_of(stored["repo_url"]) != host_of(url):
            return cls()
        provider = provider_in(stored) or GitProvider.github
        return cls(
            token=row.git_token["token"] if row.git_token else None,
            username=stored.get("username") or USERS[provider],
            private_key=row.deploy_key_private["pem"] if row.deploy_key_private else None,
            host_keys=row.host_keys,
        )

    @property
    def secrets(self) -> list[str]:
        """What may never reach a log, in every form in which it is sent."""
        sent = [base64.b64encode(f"{self.username}:{self.token}".encode()).decode()] if self.token else []
        return [*([self.token] if self.token else []), *sent, *([self.private_key] if self.private_key else [])]


class Opened:
    """What a clone is given, with files for ssh as long as it takes."""

    def __init__(self, access: Access, directory: Path, url: str) -> None:
        self._access, self._url = access, url
        over_ssh = not url.startswith("http")
        self._key = directory / "deploy_key" if over_ssh and access.private_key else None
        self._known = directory / "known_hosts" if over_ssh else None
        self._pinned = access.host_keys or (HOST_KEYS if provider_of(url) in PUBLISHED else "")

    def write(self) -> None:
        """Write the files, for nobody else to read."""
        for path, text in ((self._key, self._access.private_key), (self._known, self._pinned)):
            if path is not None:
                path.touch(mode=0o600)
                path.write_text(text or "")

    def remove(self) -> None:
        """Remove them."""
        for path in (self._key, self._known):
            if path is not None:
                path.unlink(missing_ok=True)

    def source(self, branch: str, commit_sha: str | None) -> Source:
        """What to fetch, and with what."""
        if self._known is None:
            return Source(self._url, branch, commit_sha, self._access.username, self._access.token)
        return Source(self._url, branch, commit_sha, ssh_key=self._key, known_hosts=self._known, pinned=bool(self._pinned))

    async def remember(self, application_id: UUID) -> None:
        """Pin the keys that the host showed the first time, unless the source is elsewhere by now."""
        found = self._known.read_text() if self._known and not self._pinned else ""
        if not found:
            return
        async with in_transaction():
            row = await Application.select_for_update().get(id=application_id)
            if row.host_keys is None and row.git_source and host_of(row.git_source["repo_url"]) == host_of(self._url):
                await Application.filter(id=row.id).update(host_keys=found)


@contextlib.contextmanager
def _written(opened: Opened) -> Iterator[Opened]:
    opened.write()
    try:
        yield opened
    finally:
        opened.remove()


async def access_of(run: Run) -> Access:
    """How to get at a run's source, as the application has it now; its secrets are kept out of the run's log from now on."""
    row = await models.Application.get(id=run.deployment.application_id)
    access = Access.of(row, run.config["git_source"]["repo_url"])
    run.journal.conceal(access.secrets)
    return access


def opened(access: Access, directory: Path, url: str) -> contextlib.AbstractContextManager[Opened]:
    """What opens a URL, with its files in a directory that is nobody else's, until it is left."""
    return _written(Opened(access, directory, url))
