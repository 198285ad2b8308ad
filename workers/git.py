"""git: fetch one commit of one branch into an empty directory, with nothing on this machine or in the URL able to interfere."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workers import addresses, git_argv, processes
from workers.addresses import Endpoint
from workers.git_argv import Source
from workers.git_errors import (
    BranchNotFound,
    CloneFailed,
    CloneTimedOut,
    CommitNotFound,
    DiskFull,
    ForbiddenAddress,
    GitError,
    InvalidSource,
    cause,
    explain,
)
from workers.processes import Finished, OnLine

__all__ = [
    "BranchNotFound",
    "CloneFailed",
    "CloneTimedOut",
    "Commit",
    "CommitNotFound",
    "DiskFull",
    "ForbiddenAddress",
    "GitError",
    "InvalidSource",
    "OutsideCheckout",
    "Source",
    "checkout",
    "inside",
]

MESSAGE_LIMIT: Final = 10_000
"""Bytes of a commit message that are remembered."""
MAX_PACK_BYTES: Final = 4 << 30
"""No file that git writes may be larger: it bounds what a repository can fill the disk with."""


class OutsideCheckout(Exception):
    """This path leads out of the repository."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit that was checked out."""

    sha: str
    message: str
    author: str


class _Fetch:
    """One fetch under one deadline."""

    def __init__(self, source: Source, target: Path, endpoint: Endpoint, deadline: float, on_line: OnLine | None) -> None:
        self.source, self.target, self.endpoint, self.on_line = source, target, endpoint, on_line
        self._env = git_argv.environment(endpoint, source)
        self._ends = asyncio.get_running_loop().time() + deadline

    async def git(self, argv: list[str], *, quiet: bool = True, capture: int = 0) -> Finished:
        left = max(0.0, self._ends - asyncio.get_running_loop().time())
        on_line = None if quiet else self.on_line
        try:
            return await processes.run(argv, env=self._env, deadline=left, on_line=on_line, capture=capture, max_file_bytes=MAX_PACK_BYTES)
        except processes.DeadlineExceeded as error:
            raise CloneTimedOut(tail=error.tail) from None
        except FileNotFoundError:
            raise CloneFailed("git is not installed on this worker.") from None

    async def must(self, argv: list[str]) -> Finished:
        done = await self.git(argv, quiet=False)
        if done.returncode:
            raise explain(done, self.endpoint)
        return done

    async def fetch(self, wanted: str, *, whole: bool) -> Finished:
        return await self.git(git_argv.fetch(self.target, self.endpoint, wanted, whole=whole), quiet=False)

    async def resolve(self, revision: str) -> str | None:
        done = await self.git(git_argv.resolve(self.target, revision), capture=100)
        return None if done.returncode else done.stdout.decode("ascii", "replace").strip()

    async def obtain(self) -> str:
        """Fetch what is wanted as cheaply as the server allows, and say which commit it is."""
        pinned, branch = self.source.commit_sha, f"refs/heads/{self.source.branch}"
        if pinned and len(pinned) in (40, 64):
            done = await self.fetch(pinned, whole=False)
            if done.returncode == 0:
                return pinned
            if why := cause(done):
                raise why
        elif not pinned:
            done = await self.fetch(branch, whole=False)
            if done.returncode and "shallow" in "\n".join(done.tail):
                done = await self.fetch(branch, whole=True)
            if done.returncode:
                raise explain(done, self.endpoint)
            return await self._found("FETCH_HEAD")
        done = await self.fetch(branch, whole=True)
        if done.returncode:
            raise explain(done, self.endpoint)
        return await self._found(str(pinned))

    async def _found(self, revision: str) -> str:
        sha = await self.resolve(revision)
        if sha is None or (revision != "FETCH_HEAD" and not sha.startswith(revision)):
            raise CommitNotFound(f"The branch {self.source.branch} has no commit {revision}.")
        if (await self.git(git_argv.contains(self.target, sha))).returncode:
            raise CommitNotFound(f"The branch {self.source.branch} has no commit {revision}.")
        return sha


async def checkout(
    source: Source, target: Path, *, allowed_hosts: frozenset[str], deadline: float, on_line: OnLine | None = None
) -> Commit:
    """Fetch a commit into the new or empty directory `target`, within `deadline` seconds; `on_line` is told git's progress.

    A pinned commit is fetched by its id, also when the branch has moved on or was rewritten; where the server refuses that, it must
    be on the branch. Raises GitError: its `code` and sentence are for the user, its `tail` has git's last lines.
    """
    git_argv.validate(source)
    endpoint = await _endpoint(source.url, allowed_hosts)
    fetch = _Fetch(source, target, endpoint, deadline, on_line)
    if (await fetch.git(git_argv.check_branch(source.branch))).returncode:
        raise InvalidSource("This is not the name of a branch.")
    await fetch.must(git_argv.init(target))
    sha = await fetch.obtain()
    await fetch.must(git_argv.checkout(target, sha))
    described = await fetch.git(git_argv.describe(target, sha), capture=MESSAGE_LIMIT + 1000)
    return parse_commit(described.stdout)


async def _endpoint(url: str, allowed_hosts: frozenset[str]) -> Endpoint:
    try:
        return await addresses.check(addresses.parse(url, allowed_hosts), allowed_hosts)
    except addresses.InvalidAddress as error:
        raise InvalidSource(str(error)) from None
    except addresses.Forbidden as error:
        raise ForbiddenAddress(str(error)) from None
    except addresses.Unresolvable as error:
        raise CloneFailed(str(error)) from None


def parse_commit(described: bytes) -> Commit:
    """Read what `git_argv.describe` asks for; message and author are made safe to store."""
    sha, _, rest = described.partition(b"\0")
    author, _, message = rest.partition(b"\0")
    lines = [processes.clean(line) for line in message[:MESSAGE_LIMIT].splitlines()]
    return Commit(processes.clean(sha.strip()), "\n".join(lines).strip(), processes.clean(author)[:255])


def inside(root: Path, relative: str) -> Path:
    """The path of something in a checkout, which need not exist. Raises OutsideCheckout for everything that could lead out of it."""
    if "\0" in relative or relative.startswith("/") or len(relative.encode("utf-8", "replace")) > 4000:
        raise OutsideCheckout
    path = root
    for part in relative.split("/"):
        if part in ("", "."):
            continue
        if part == ".." or len(part.encode("utf-8", "replace")) > 255:
            raise OutsideCheckout
        path = path / part
        if path.is_symlink():  # a link that stays inside is refused too: nothing here needs to tell them apart
            raise OutsideCheckout(f"{relative} leads through a symbolic link.")
    return path
