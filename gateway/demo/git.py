"""Running git with nothing of this machine's or this user's settings."""

import os
import subprocess
from collections.abc import Mapping
from typing import Final

_KEPT: Final = ("PATH", "HOME", "TMPDIR")


class GitError(Exception):
    """A git command failed; the message is what git said."""


def environment() -> dict[str, str]:
    """The environment git runs in."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}


def output_of(*arguments: str, stdin: bytes = b"") -> bytes:
    """What the git command prints. Raises `GitError` if it fails."""
    finished = run(*arguments, stdin=stdin)
    if finished.returncode:
        raise GitError(finished.stderr.decode(errors="replace").strip() or f"git {arguments[0]} ended with status {finished.returncode}")
    return finished.stdout


def run(*arguments: str, stdin: bytes = b"", also: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end, whatever that is, with `also` in its environment."""
    argv = ["git", *arguments]
    return subprocess.run(argv, input=stdin, capture_output=True, check=False, env={**environment(), **(also or {})})
