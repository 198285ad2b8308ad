"""Where code comes from: tokens and deploy keys, which are taken, used, and never shown."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

import models
from models.database import fetch
from tests.services.conftest import Api
from workers.source_access import Access, Opened

TOKEN = "a-token-that-nobody-knows"
SOURCE = {"repoUrl": "https://git.example.com/user/app.git"}


async def row(application: dict[str, Any]) -> models.Application:
    return await models.Application.get(id=application["id"])


async def patched(api: Api, application: dict[str, Any], **source: Any) -> Any:
    answer = await api.owner.patch(f"/applications/{application['id']}", {"gitSource": SOURCE | source})
    return answer.status_code if answer.is_error else answer.json()["gitSource"]


async def test_a_token_is_taken_and_never_shown(api: Api) -> None:
    application = await api.application(image=None, gitSource=SOURCE | {"token": TOKEN, "username": "robot", "provider": "gitea"})
    shown = (await api.owner.get(f"/applications/{application['id']}")).text
    assert TOKEN not in shown
    body = await api.owner.graphql(
        "query($id: ID!) { application(id: $id) { gitSource { token username provider } } }", id=application["id"]
    )
    assert body["data"]["application"]["gitSource"] == {"token": "***", "username": "robot", "provider": "gitea"}
    stored = await row(application)
    assert stored.git_token == {"token": TOKEN}
    assert "token" not in stored.git_source
    raw = await fetch("select git_token from application where id = $1", stored.id)
    assert TOKEN not in raw[0][0]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"branch": "other"}, True),
        ({"token": "***"}, True),
        ({"repoUrl": "https://git.example.com/user/other.git", "token": "***"}, True),
        ({"token": None}, False),
        ({"repoUrl": "https://evil.example.com/user/app.git"}, False),
        ({"repoUrl": "https://git.example.com:8443/user/app.git"}, False),
        ({"repoUrl": "http://git.example.com/user/app.git"}, False),
        ({"repoUrl": "git@git.example.com:user/app.git"}, False),
    ],
)
async def test_a_token_stays_with_its_host(api: Api, change: dict[str, Any], kept: bool) -> None:
    application = await api.application(image=None, gitSource=SOURCE | {"token": TOKEN})
    shown = await patched(api, application, **change)
    assert shown["token"] == ("***" if kept else None)
    assert (await row(application)).git_token == ({"token": TOKEN} if kept else None)


@pytest.mark.parametrize("url", ["https://evil.example.com/user/app.git", "https://git.example.com:8443/user/app.git"])
async def test_a_masked_token_is_refused_for_another_host(api: Api, url: str) -> None:
    application = await api.application(image=None, gitSource=SOURCE | {"token": TOKEN})
    assert await patched(api, application, repoUrl=url, token="***") == 400
    assert (await row(application)).git_token == {"token": TOKEN}


async def test_a_masked_token_is_refused_where_there_is_none(api: Api) -> None:
    application = await api.application(image=None, gitSource=SOURCE)
    assert await patched(api, application, token="***") == 400


@pytest.mark.parametrize("token", ["", "with space", "line\nbreak", "ü", "x" * 5000])
async def test_what_is_no_token_is_refused_and_not_echoed(api: Api, token: str) -> None:
    project = await api.project()
    body = {"name": "app", "projectId": project["id"], "gitSource": SOURCE | {"token": token}}
    answer = await api.owner.post("/applications", body)
    (problem,) = answer.json()["error"]["details"]["errors"]
    assert (answer.status_code, problem["field"], problem["received"]) == (400, "gitSource.token", None)


async def test_a_token_over_ssh_is_refused(api: Api) -> None:
    project = await api.project()
    source = {"repoUrl": "git@git.example.com:user/app.git", "token": TOKEN}
    answer = await api.owner.post("/applications", {"name": "app", "projectId": project["id"], "gitSource": source})
    assert answer.status_code == 400
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://github.com/a/b", "github"),
        ("git@gitlab.com:a/b", "gitlab"),
        ("https://codeberg.org/a/b", "gitea"),
        (SOURCE["repoUrl"], None),
    ],
)
async def test_the_hosts_that_everybody_knows_are_known(api: Api, url: str, provider: str | None) -> None:
    application = await api.application(image=None, gitSource={"repoUrl": url})
    assert (await api.owner.get(f"/applications/{application['id']}")).json()["gitSource"]["provider"] == provider


async def test_a_deploy_key_is_made_shown_by_its_public_half_and_made_anew(api: Api) -> None:
    application = await api.application(image=None, gitSource={"repoUrl": "git@git.example.com:user/app.git"})
    path = f"/applications/{application['id']}"
    first = (await api.owner.post(f"{path}/deploy-key")).json()
    stored = await row(application)
    assert stored.deploy_key_private is not None
    private = load_ssh_private_key(stored.deploy_key_private["pem"].encode(), None)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert first == {"applicationId": application["id"], "publicKey": f"{public} dokploy-{application['serviceName']}"}
    assert public.startswith("ssh-ed25519 ")
    assert (await api.owner.get(path)).json()["deployKey"] == first["publicKey"]
    await models.Application.filter(id=application["id"]).update(host_keys="known")
    data = (await api.owner.graphql("mutation($id: ID!) { generateDeployKey(id: $id) { publicKey } }", id=application["id"]))["data"]
    assert data["generateDeployKey"]["publicKey"] not in ("", first["publicKey"])
    assert (await row(application)).host_keys is None
    assert (await api.owner.delete(f"{path}/deploy-key")).status_code == 204
    assert (await api.owner.get(path)).json()["deployKey"] is None
    assert (await row(application)).deploy_key_private is None


async def test_the_keys_of_a_host_are_forgotten_with_it(api: Api) -> None:
    application = await api.application(image=None, gitSource={"repoUrl": "git@git.example.com:user/app.git"})
    for url, kept in (("git@git.example.com:user/other.git", "known"), ("git@other.example.com:user/app.git", None)):
        await models.Application.filter(id=application["id"]).update(host_keys="known")
        await api.owner.patch(f"/applications/{application['id']}", {"gitSource": {"repoUrl": url}})
        assert (await row(application)).host_keys == kept


async def test_a_source_that_goes_takes_its_token_along(api: Api) -> None:
    application = await api.application(gitSource=SOURCE | {"token": TOKEN})
    await api.owner.patch(f"/applications/{application['id']}", {"gitSource": None})
    stored = await row(application)
    assert (stored.git_source, stored.git_token, stored.repository) == (None, None, None)


@pytest.mark.parametrize(("now", "kept"), [("git@git.example.com:user/other.git", "known"), ("git@other.example.com:user/app.git", None)])
async def test_a_clone_that_ends_late_pins_no_keys_of_a_host_that_is_no_longer_the_sources(
    api: Api, tmp_path: Path, now: str, kept: str | None
) -> None:
    application = await api.application(image=None, gitSource={"repoUrl": "git@git.example.com:user/app.git"})
    cloning = Opened(Access(), tmp_path, "git@git.example.com:user/app.git")
    cloning.write()
    (tmp_path / "known_hosts").write_text("known")
    await api.owner.patch(f"/applications/{application['id']}", {"gitSource": {"repoUrl": now}})
    await cloning.remember((await row(application)).id)
    assert (await row(application)).host_keys == kept


@pytest.mark.parametrize("url", ["https://a:b/x/y", "https://git.example.com/" + "x" * 600])
async def test_a_url_that_names_no_repository_is_refused(api: Api, url: str) -> None:
    project = await api.project()
    answer = await api.owner.post("/applications", {"name": "app", "projectId": project["id"], "gitSource": {"repoUrl": url}})
    assert answer.status_code == 400
