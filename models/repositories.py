"""Names of repositories: one for all the URLs that a repository has (DECISIONS 24)."""

import re

_URL = re.compile(r"[a-z+]+://(?:[^/@]*@)?(?P<host>\[[^\]]*\]|[^/:@]+)(?::[0-9]*)?/(?P<path>.+)", re.IGNORECASE)
_SCP = re.compile(r"(?:[^/@]*@)?(?P<host>[^/:@]+):(?P<path>.+)")
LONGEST = 512


def key_of(url: str) -> str | None:
    """Host and path of a repository's URL, in lower case and without port, user and `.git`; None when it has none.

    `https://github.com/User/App.git` and `git@github.com:user/app` are both `github.com/user/app`.
    """
    match = _URL.fullmatch(url) or ("://" not in url and _SCP.fullmatch(url))
    if not match:
        return None
    path = match["path"].lower().strip("/").removesuffix(".git").strip("/")
    found = f"{match['host'].lower()}/{path}"
    return found if path and len(found) <= LONGEST else None
