"""How each provider is told what became of a commit: requests as data, which nothing here sends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from models import DeploymentStatus, GitProvider
from models.repositories import web_of


class State(StrEnum):
    """What a commit is told, in GitHub's words."""

    pending = "pending"
    success = "success"
    failure = "failure"
    error = "error"
    """Neither: it was cancelled."""


@dataclass(frozen=True)
class Report:
    """What is told of a commit."""

    repo_url: str
    token: str = field(repr=False)
    commit_sha: str
    state: State
    context: str
    """What tells it from other reports on the same commit."""
    description: str
    target_url: str | None = None


@dataclass(frozen=True)
class Request:
    """A POST of JSON."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, str]


ENDS: Final[Mapping[DeploymentStatus, State]] = MappingProxyType(
    {DeploymentStatus.success: State.success, DeploymentStatus.failed: State.failure, DeploymentStatus.cancelled: State.error}
)
"""What the ways to end are to a commit."""


def state_of(status: DeploymentStatus) -> State:
    """What a deployment's status is to its commit."""
    return ENDS.get(status, State.pending)


def _body(report: Report, context: str, state: str) -> dict[str, str]:
    link = {"target_url": report.target_url} if report.target_url else {}
    return {"state": state, context: report.context, "description": report.description, **link}


def _github(report: Report) -> Request:
    """https://docs.github.com/rest/commits/statuses; a server of one's own has its API below `/api/v3`."""
    base, path = web_of(report.repo_url)
    api = "https://api.github.com" if base == "https://github.com" else f"{base}/api/v3"
    headers = {"Authorization": f"Bearer {report.token}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    return Request(f"{api}/repos/{quote(path)}/statuses/{report.commit_sha}", headers, _body(report, "context", report.state.value))


def _gitlab(report: Report) -> Request:
    """https://docs.gitlab.com/api/commits/#set-commit-pipeline-status."""
    base, path = web_of(report.repo_url)
    words = {State.failure: "failed", State.error: "canceled"}
    url = f"{base}/api/v4/projects/{quote(path, safe='')}/statuses/{report.commit_sha}"
    return Request(url, {"PRIVATE-TOKEN": report.token}, _body(report, "name", words.get(report.state, report.state.value)))


def _gitea(report: Report) -> Request:
    """https://docs.gitea.com/api, `repoCreateStatus`; Forgejo has the same."""
    base, path = web_of(report.repo_url)
    url = f"{base}/api/v1/repos/{quote(path)}/statuses/{report.commit_sha}"
    return Request(url, {"Authorization": f"token {report.token}"}, _body(report, "context", report.state.value))


REQUESTS: Final[Mapping[GitProvider, Callable[[Report], Request]]] = MappingProxyType(
    {GitProvider.github: _github, GitProvider.gitlab: _gitlab, GitProvider.gitea: _gitea}
)
"""The providers that are told."""
