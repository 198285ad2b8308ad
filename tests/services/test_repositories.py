"""One name for all the URLs of a repository, in Python and in the migration that named those that were there."""

import importlib

import pytest

import models
from models.database import database
from models.repositories import key_of
from tests.services.conftest import Api

URLS = {
    "https://github.com/User/MyApp.git": "github.com/user/myapp",
    "https://github.com/user/myapp": "github.com/user/myapp",
    "https://github.com/user/myapp/": "github.com/user/myapp",
    "https://someone@github.com/user/myapp.git": "github.com/user/myapp",
    "http://127.0.0.1:8080/repo.git": "127.0.0.1/repo",
    "https://[::1]:8443/group/sub/repo.GIT": "[::1]/group/sub/repo",
    "git@gitlab.com:group/sub/app.git": "gitlab.com/group/sub/app",
    "git@gitlab.com:/group/app.git": "gitlab.com/group/app",
    "ssh://git@gitea.example.com:2222/team/app.git": "gitea.example.com/team/app",
    "git://github.com/user/myapp.git": "github.com/user/myapp",
}


@pytest.mark.parametrize(("url", "key"), URLS.items())
def test_all_urls_of_a_repository_have_one_key(url: str, key: str) -> None:
    assert key_of(url) == key


@pytest.mark.parametrize(
    "url", ["", "https://github.com", "https://github.com/", "nothing", "/a/path", "https:///x", "x" * 600, "a:" + "x" * 600]
)
def test_what_names_no_repository_has_none(url: str) -> None:
    assert key_of(url) is None


MIGRATED = (
    URLS
    | dict.fromkeys(["https://github.com", "https://a:b/x/y", "https://h/" + "x" * 600, "https:///x"])
    | {
        "https://h/a/b/.git": "h/a/b",
        "git@h:a/.git.git": "h/a/.git",
    }
)


async def test_the_migration_names_them_the_same(api: Api) -> None:
    application = await api.application()
    for url, key in MIGRATED.items():
        source = {"repo_url": url, "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"}
        await models.Application.filter(id=application["id"]).update(git_source=source, repository=None)
        await database().execute_script(importlib.import_module("models.migrations.0008_doors").REPOSITORIES)
        assert key_of(url) == key
        assert (await models.Application.get(id=application["id"])).repository == key, url
