"""Why a repository could not be fetched: one error per fact, and how git's own words are read."""

import re
from typing import ClassVar, Final

from workers.addresses import Endpoint
from workers.processes import Finished


class GitError(Exception):
    """The repository could not be fetched."""

    code: ClassVar[str] = "CLONE_FAILED"

    def __init__(self, sentence: str = "", tail: tuple[str, ...] = ()) -> None:
        super().__init__(sentence or self.__class__.__doc__)
        self.tail = tail


class CloneFailed(GitError):
    """The repository could not be fetched."""


class InvalidSource(GitError):
    """This is not a repository URL, branch or commit."""


class ForbiddenAddress(GitError):
    """The repository's address is not public and not allowed by the administrator."""


class BranchNotFound(GitError):
    """The repository has no such branch."""

    code = "BRANCH_NOT_FOUND"


class CommitNotFound(GitError):
    """The repository has no such commit on this branch."""

    code = "COMMIT_NOT_FOUND"


class CloneTimedOut(GitError):
    """Fetching the repository took too long."""

    code = "TIMED_OUT"


class DiskFull(GitError):
    """The disk of the worker is full."""

    code = "DISK_FULL"


_CAUSES: Final[tuple[tuple[str, type[GitError], str], ...]] = (
    (r"couldn't find remote ref refs/heads/", BranchNotFound, "The repository has no such branch."),
    (r"No space left on device|disk quota exceeded", DiskFull, "The disk of the worker is full."),
    (r"File too large|File size limit", CloneFailed, "The repository is larger than this installation allows."),
    (r"could not read Username|Authentication failed|terminal prompts disabled|Permission denied \(|error: 40[13]",
     CloneFailed, "The repository is private or does not exist: the server asks for credentials."),
    (r"[Rr]epository .*not found|does not appear to be a git repository|error: 404", CloneFailed, "There is no repository at this URL."),
    (r"redirect|error: 30[1-8]", CloneFailed, "The server redirects to another URL: use that one."),
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed", CloneFailed,
     "The server is not the one that was cloned from before: its key is another. If that is meant, make a new deploy key."),
    (r"cannot run ssh", CloneFailed, "ssh is not installed on this worker."),
    (r"SSL certificate|certificate verif", CloneFailed, "The identity of the server could not be verified."),
    (r"Could not resolve host", CloneFailed, "The host cannot be found."),
    (r"Failed to connect|Connection refused|Connection timed out|Connection reset|Network is unreachable|No route to host|Couldn't connect",
     CloneFailed, "The server cannot be reached."),
    (r"too slow|transfer closed|early EOF|unexpected disconnect|hung up", CloneFailed, "The connection to the server broke off."),
)  # fmt: skip


def cause(finished: Finished) -> GitError | None:
    """The error that git's last lines name, if they name one that is known."""
    text = "\n".join(finished.tail)
    return next((error(sentence, finished.tail) for pattern, error, sentence in _CAUSES if re.search(pattern, text)), None)


def explain(finished: Finished, endpoint: Endpoint) -> GitError:
    """Why git failed, as an error a user can act on."""
    if known := cause(finished):
        return known
    last = next((line for line in reversed(finished.tail) if line.startswith(("fatal:", "error:"))), "")
    sentence = f"The repository at {endpoint.host} could not be fetched: {last[:300]}" if last else ""
    return CloneFailed(sentence, finished.tail)
