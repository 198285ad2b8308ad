"""The exact requests by which providers are told of their commits."""

from typing import Any

import pytest

from models import DeploymentStatus, GitProvider
from workers.commit_requests import REQUESTS, Report, Request, State, state_of

SHA = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
TOKEN = "a-token-that-nobody-knows"


def told(provider: GitProvider, url: str, state: State = State.success, **more: Any) -> Request:
    return REQUESTS[provider](Report(url, TOKEN, SHA, state, "dokploy/web", "Deployed", **more))


def test_github() -> None:
    request = told(GitProvider.github, "https://github.com/User/App.git", target_url="https://dokploy.example.com/api/deployments/1")
    assert request.url == f"https://api.github.com/repos/User/App/statuses/{SHA}"
    assert dict(request.headers) == {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    assert dict(request.body) == {
        "state": "success",
        "context": "dokploy/web",
        "description": "Deployed",
        "target_url": "https://dokploy.example.com/api/deployments/1",
    }
    assert told(GitProvider.github, "https://ghe.example.com/a/b").url == f"https://ghe.example.com/api/v3/repos/a/b/statuses/{SHA}"


def test_gitlab() -> None:
    request = told(GitProvider.gitlab, "git@gitlab.com:group/sub/app.git")
    assert request.url == f"https://gitlab.com/api/v4/projects/group%2Fsub%2Fapp/statuses/{SHA}"
    assert dict(request.headers) == {"PRIVATE-TOKEN": TOKEN}
    assert dict(request.body) == {"state": "success", "name": "dokploy/web", "description": "Deployed"}


def test_gitea() -> None:
    request = told(GitProvider.gitea, "https://git.example.com:3000/user/app")
    assert request.url == f"https://git.example.com:3000/api/v1/repos/user/app/statuses/{SHA}"
    assert dict(request.headers) == {"Authorization": f"token {TOKEN}"}
    assert dict(request.body) == {"state": "success", "context": "dokploy/web", "description": "Deployed"}


@pytest.mark.parametrize(
    ("state", "github", "gitlab"),
    [
        (State.pending, "pending", "pending"),
        (State.success, "success", "success"),
        (State.failure, "failure", "failed"),
        (State.error, "error", "canceled"),
    ],
)
def test_each_says_it_in_its_own_words(state: State, github: str, gitlab: str) -> None:
    url = "https://git.example.com/user/app"
    assert told(GitProvider.github, url, state).body["state"] == github
    assert told(GitProvider.gitea, url, state).body["state"] == github
    assert told(GitProvider.gitlab, url, state).body["state"] == gitlab


def test_every_status_of_a_deployment_is_one_of_these() -> None:
    ended = {DeploymentStatus.success: "success", DeploymentStatus.failed: "failure", DeploymentStatus.cancelled: "error"}
    assert {status: state_of(status).value for status in DeploymentStatus} == dict.fromkeys(DeploymentStatus, "pending") | ended


def test_a_token_does_not_show_where_a_report_is_printed() -> None:
    report = Report("https://github.com/a/b", TOKEN, SHA, State.success, "dokploy/web", "Deployed")
    assert TOKEN not in repr(report)
    assert TOKEN not in repr(REQUESTS[GitProvider.github](report))
