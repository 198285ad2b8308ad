"""Names of repositories: one for all the URLs that a repository has (DECISIONS 24), and what kind of server it is on."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from models.enums import GitProvider

_URL = re.compile(r"[a-z+]+://(?:[^/@]*@)?(?P<host>\[[^\]]*\]|[^/:@]+)(?P<port>:[0-9]*)?/(?P<path>.+)", re.IGNORECASE)
_SCP = re.compile(r"(?:[^/@]*@)?(?P<host>[^/:@]+)(?P<port>):(?P<path>.+)")
LONGEST: Final = 512
HOSTS: Final = MappingProxyType(
    {
        "github.com": GitProvider.github,
        "gitlab.com": GitProvider.gitlab,
        "codeberg.org": GitProvider.gitea,
        "bitbucket.org": GitProvider.bitbucket,
    }
)
"""Those that everybody knows."""


def _split(url: str) -> re.Match[str] | None:
    return _URL.fullmatch(url) or (None if "://" in url else _SCP.fullmatch(url))


def key_of(url: str) -> str | None:
    """Host and path of a repository's URL, in lower case and without port, user and `.git`; None when it has none.

    `https://github.com/User/App.git` and `git@github.com:user/app` are both `github.com/user/app`.
    """
    match = _split(url)
    if not match:
        return None
    path = match["path"].lower().strip("/").removesuffix(".git").strip("/")
    found = f"{match['host'].lower()}/{path}"
    return found if path and len(found) <= LONGEST else None


def host_of(url: str) -> str | None:
    """Scheme, host and port of a repository's URL: what a secret that was made for one of its repositories may be shown to."""
    match = _split(url)
    return f"{url.partition('://')[0] if '://' in url else 'ssh'}://{match['host']}{match['port'] or ''}".lower() if match else None


def web_of(url: str) -> tuple[str, str]:
    """Where a repository's server is on the web, without a slash at its end, and the repository's path there. Raises ValueError."""
    match = _split(url)
    if not match:
        raise ValueError(f"{url} names no repository")
    scheme = url.partition("://")[0].lower()
    port = (match["port"] or "") if scheme in ("http", "https") else ""
    path = match["path"].strip("/")
    return f"{scheme if scheme == 'http' else 'https'}://{match['host'].lower()}{port}", path.removesuffix(".git")


def provider_in(source: Mapping[str, Any]) -> GitProvider | None:
    """The kind of server that a stored source is on: as it says, or else as its host does."""
    given = source.get("provider")
    return GitProvider(given) if given else provider_of(source["repo_url"])


def provider_of(url: str) -> GitProvider | None:
    """The kind of server that a repository is on, where its host says so."""
    match = _split(url)
    return HOSTS.get(match["host"].lower()) if match else None
