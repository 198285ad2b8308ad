"""Under which operating-system user a server runs."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.errors import EmbeddedError


class NoAccount(EmbeddedError):
    """The user has no entry in the password database, which Postgres needs."""


@dataclass(frozen=True)
class Account:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    def may_enter(self, directory: Path) -> bool:
        """Whether this user can reach files in `directory` by its path, going by permission bits alone (access lists do not count)."""
        real = directory.resolve()
        return all(self._may_search(each.stat()) for each in (real, *real.parents))

    def _may_search(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        return bool(status.st_mode & (0o010 if status.st_gid == self.gid else 0o001))


def account_of(uid: int) -> Account:
    """The account with this user id. Raises `NoAccount`."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise NoAccount(f"user id {uid} has no entry in the password database, which Postgres needs") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def ourselves() -> Account:
    """The account this process acts as. Raises `NoAccount`."""
    return account_of(os.geteuid())


def server_account(existing: Path) -> Account | None:
    """The account to change to before starting a server; None when we are not root and it runs as ourselves.

    The owner of the directory `existing`, so that data stays readable by whoever made it; without one, `nobody`. Raises `NoAccount`.
    """
    if os.geteuid() != 0:
        return None
    if existing.exists() and (owner := existing.stat().st_uid) != 0:
        return account_of(owner)
    return account_of(pwd.getpwnam("nobody").pw_uid)
