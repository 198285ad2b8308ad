"""The command lines and the environment of git, built and checked; nothing here runs anything."""

import base64
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from workers import addresses
from workers.addresses import Endpoint
from workers.git_errors import InvalidSource

_SHA = re.compile(r"[0-9a-f]{7,64}")
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]{1,255}")  # git check-ref-format has the last word
_SSH_KEY = re.compile(r"/[A-Za-z0-9/._-]+")
_CREDENTIAL = re.compile(r"[\x21-\x7e]{1,4096}")
_OWN_KNOWN_HOSTS = "~/.ssh/known_hosts"
_NO_HOME = "/dev/null"
"""Never a directory: git and curl would offer what the real one has (`.netrc`, `.config/git`) to a server that a tenant chose."""


@dataclass(frozen=True, slots=True)
class Source:
    """What to fetch: the tip of a branch, or the one commit `commit_sha` (7 to 64 hexadecimal digits).

    `token` is sent as the password of `username` over HTTP; `ssh_key` is the file of a private key. Neither shows in an argv.
    """

    url: str
    branch: str
    commit_sha: str | None = None
    username: str = "x-access-token"
    token: str | None = field(default=None, repr=False)
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    """The file of the keys of hosts that are trusted, and, unless `pinned`, that the host's is added to when it is met first."""
    pinned: bool = False


def validate(source: Source) -> Source:
    """The same source, when each of its values is what it claims to be. Raises InvalidSource."""
    if not _BRANCH.fullmatch(source.branch):
        raise InvalidSource("This is not the name of a branch.")
    if source.commit_sha is not None and not _SHA.fullmatch(source.commit_sha):
        raise InvalidSource("A commit is 7 to 64 lower-case hexadecimal digits.")
    for path in (source.ssh_key, source.known_hosts):
        if path is not None and not _SSH_KEY.fullmatch(str(path)):
            raise InvalidSource("The path of the SSH key has characters that are not allowed.")
    if source.token is not None and not (_CREDENTIAL.fullmatch(source.token) and _CREDENTIAL.fullmatch(source.username)):
        raise InvalidSource("The user name or token has characters that are not allowed.")
    return source


def environment(endpoint: Endpoint | None = None, source: Source | None = None) -> dict[str, str]:
    """The whole environment of git: no home, no configuration but ours, no prompt, no other protocol, English messages."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": _NO_HOME,
        "XDG_CONFIG_HOME": _NO_HOME,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
    }
    if endpoint is None:
        return env
    if endpoint.scheme == "http":
        env["GIT_ALLOW_PROTOCOL"] = "https:ssh:http"
    if endpoint.scheme == "ssh":
        env["GIT_SSH_VARIANT"] = "ssh"
        env["GIT_SSH_COMMAND"] = shlex.join(ssh(endpoint, source))
    elif source and source.token is not None:
        basic = base64.b64encode(f"{source.username}:{source.token}".encode()).decode()
        env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}"}
    return env


def ssh(endpoint: Endpoint, source: Source | None = None) -> list[str]:
    """The ssh that git calls. git splits it by a shell, so it holds nothing but constants, an address and a host that were matched.

    Without a key none is offered: the worker's own would let one tenant read the repositories of another. The keys of hosts are those
    of the source, and those that the worker's user knows; ssh takes that user's home from the accounts, whatever HOME says.
    """
    key, known = (source.ssh_key, source.known_hosts) if source else (None, None)
    trusted = f"{known} {_OWN_KNOWN_HOSTS}" if known else _OWN_KNOWN_HOSTS
    argv = [
        "ssh",
        "-F",
        "/dev/null",
        "-oBatchMode=yes",
        "-oConnectTimeout=15",
        f"-oStrictHostKeyChecking={'yes' if source and source.pinned else 'accept-new'}",
        f"-oUserKnownHostsFile={trusted}",
        "-oIdentitiesOnly=yes",
    ]
    argv += ["-oIdentityAgent=none", f"-oIdentityFile={key or 'none'}"]
    if endpoint.addresses:
        argv += [f"-oHostName={endpoint.addresses[0]}", f"-oHostKeyAlias={endpoint.host.strip('[]')}"]
    return argv


def command(target: Path, endpoint: Endpoint | None, *arguments: str) -> list[str]:
    """One git command inside `target`, with hooks, redirects, submodules and helpers off and the checked address pinned."""
    argv = ["git", "-C", str(target)]
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "credential.helper=",
        "http.followRedirects=false",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=30",
        "submodule.recurse=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "advice.detachedHead=false",
        "i18n.logOutputEncoding=UTF-8",
    ):
        argv += ["-c", setting]
    if endpoint and endpoint.addresses and endpoint.scheme != "ssh" and addresses.literal(endpoint.host) is None:
        pinned = ",".join(f"[{address}]" if ":" in address else address for address in endpoint.addresses)
        argv += ["-c", f"http.curloptResolve={endpoint.host}:{endpoint.port}:{pinned}"]
    return [*argv, *arguments]


def init(target: Path) -> list[str]:
    """An empty repository without template files."""
    return ["git", "-c", "init.defaultBranch=main", "init", "--quiet", "--template=", "--", str(target)]


def check_branch(branch: str) -> list[str]:
    """Ask git whether this is the name of a branch."""
    return ["git", "check-ref-format", f"refs/heads/{branch}"]


def fetch(target: Path, endpoint: Endpoint, wanted: str, *, whole: bool) -> list[str]:
    """Fetch `wanted`, a commit or `refs/heads/…`: that one commit, or with `whole` all of its history."""
    depth = [] if whole else ["--depth", "1"]
    return command(
        target,
        endpoint,
        "fetch",
        *depth,
        "--no-tags",
        "--no-recurse-submodules",
        "--no-write-commit-graph",
        "--progress",
        "--",
        endpoint.url,
        wanted,
    )


def resolve(target: Path, revision: str) -> list[str]:
    """Ask for the full id of a commit."""
    return command(target, None, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def contains(target: Path, sha: str) -> list[str]:
    """Ask whether a commit belongs to the branch that was just fetched."""
    return command(target, None, "merge-base", "--is-ancestor", sha, "FETCH_HEAD")


def checkout(target: Path, sha: str) -> list[str]:
    """Write the files of a commit."""
    return command(target, None, "checkout", "--quiet", "--force", "--detach", sha, "--")


def describe(target: Path, sha: str) -> list[str]:
    """Print id, author and message of a commit, separated by NUL."""
    return command(target, None, "log", "-1", "--no-show-signature", "--format=%H%x00%an%x00%B", sha, "--")
