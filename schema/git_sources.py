"""Where an application's code comes from: what is given, what is stored of it, and what is shown."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from pydantic import model_validator
from pydantic_core import PydanticCustomError

import models
from models.repositories import host_of, key_of, provider_in
from schema.inputs import Input, refuse
from schema.rules import Pattern

MASK = "***"
"""What stands for a secret that is not shown; sent back, it keeps what is stored (DECISIONS 6)."""

RepoUrl = Annotated[
    str,
    Pattern(
        r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/[A-Za-z0-9._~/%+-]+"
        r"|ssh://(?:[a-z_][a-z0-9_-]*@)?[A-Za-z0-9][A-Za-z0-9.:-]*/[A-Za-z0-9._~/%+-]+"
        r"|[a-z_][a-z0-9_-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9._~][A-Za-z0-9._~/+-]*",
        "must be an https or ssh URL of a git repository, without a password in it",
        5,
        2048,
    ),
]
Branch = Annotated[
    str,
    Pattern(
        r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[A-Za-z0-9._/+#@=,%!-]+(?<![/.])", "must be a valid name of a git branch", 1, 255
    ),
]
COMMIT = r"[0-9a-f]{7,40}|[0-9a-f]{64}"
CommitSha = Annotated[str, Pattern(COMMIT, "must be a commit's hexadecimal id", 7, 64)]
RelativePath = Annotated[
    str,
    Pattern(
        r"(?!/)(?!.*(?:^|/)\.\.(?:/|$))(?!-)[A-Za-z0-9._/@+ -]+", "must be a relative path inside the repository, without '..'", 1, 512
    ),
]
Credential = Annotated[str, Pattern(r"[\x21-\x7e]+", "must be visible ASCII characters", 1, 4096)]
TokenUser = Annotated[str, Pattern(r"[\x21-\x39\x3b-\x7e]+", "must be visible ASCII characters without a colon", 1, 255)]


@strawberry.pydantic.input
class GitSourceInput(Input):
    """Where the code comes from. `token` opens a repository over HTTPS, and tells its commits what becomes of them.

    `provider` is known by itself of the hosts that everybody knows. `username` goes with the token where the provider's own will not do.
    A token that is left out is kept, as long as the host stays the same.
    """

    repo_url: RepoUrl
    branch: Branch = "main"
    build_path: RelativePath = "./"
    dockerfile: RelativePath = "Dockerfile"
    provider: models.GitProvider | None = None
    username: TokenUser | None = None
    token: Credential | None = None

    @model_validator(mode="after")
    def _names_a_repository(self) -> "GitSourceInput":
        if key_of(self.repo_url) is None:
            raise PydanticCustomError("repository", "must have a repoUrl with a host and a path, of 512 characters at most together")
        return self

    @model_validator(mode="after")
    def _token_is_sent_over_http(self) -> "GitSourceInput":
        if self.token is not None and not self.repo_url.startswith("http"):
            raise PydanticCustomError("token", "may hold a token with an https URL only; over ssh there is the deploy key")
        return self


@strawberry.type
class GitSource:
    """Where the code comes from, and what was built of it last; a token is never shown."""

    repo_url: str
    branch: str
    build_path: str
    dockerfile: str
    provider: models.GitProvider | None
    username: str | None
    token: str | None
    last_commit_sha: str | None
    last_sync: datetime | None


def shown(value: dict[str, Any] | None, token: dict[str, str] | None, sha: str | None, at: datetime | None) -> GitSource | None:
    """The source of a row."""
    if not value:
        return None
    return GitSource(
        repo_url=value["repo_url"],
        branch=value["branch"],
        build_path=value["build_path"],
        dockerfile=value["dockerfile"],
        provider=provider_in(value),
        username=value.get("username"),
        token=MASK if token else None,
        last_commit_sha=sha,
        last_sync=at,
    )


def columns(given: GitSourceInput | None, before: models.Application | None = None) -> dict[str, Any]:
    """What is stored of a source that takes the place of another one. What belongs to the host before it goes with it.

    Raises `ValidationFailed` when a masked token comes back for a host that it was not made for.
    """
    if given is None:
        return {"git_source": None, "repository": None, "git_token": None, "host_keys": None}
    source = given.model_dump(by_alias=False, exclude={"token"}, mode="json")
    known = before is not None and before.git_source is not None and host_of(before.git_source["repo_url"]) == host_of(given.repo_url)
    kept = before.git_token if known and before is not None and given.repo_url.startswith("http") else None
    found: dict[str, Any] = {"git_source": source, "repository": key_of(given.repo_url)}
    if not known:
        found["host_keys"] = None
    if given.token == MASK and kept is None:
        refuse("gitSource.token", "secret", "is masked, and there is none that was stored for this host")
    if given.token == MASK or "token" not in given.model_fields_set:
        found["git_token"] = kept
    else:
        found["git_token"] = {"token": given.token} if given.token else None
    return found
