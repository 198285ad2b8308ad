"""Pushes as they happen: git tells a webhook, the new version runs, and the provider of a repository that is closed hears of it."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docker.house import App, House, succeeded
from tests.docker.installation import Installation, eventually
from tests.docker.sample import DOCKERFILE, INDEX, Sample
from tests.workers.git_server import GIT_ENV, git, serve
from tests.workers.ssh_server import ssh_server

pytestmark = pytest.mark.docker

TOKEN = "a-token-that-nobody-knows"
HOOK = """\
#!{python}
import hashlib, hmac, json, sys, urllib.request, uuid
for line in sys.stdin:
    before, after, ref = line.split()
    payload = {{"ref": ref, "before": before, "after": after, "repository": {{"clone_url": "{clone_url}"}}}}
    body = json.dumps(payload).encode()
    digest = hmac.new("{secret}".encode(), body, hashlib.sha256).hexdigest()
    headers = {{"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": str(uuid.uuid4())}}
    request = urllib.request.Request("{url}", body, {{**headers, "X-Hub-Signature-256": "sha256=" + digest}})
    print(urllib.request.urlopen(request).read().decode())
"""


async def secret_of(app: App) -> str:
    """The secret of an application's webhooks, made anew."""
    return str((await app.installation.owner.made(f"/applications/{app.id}/webhook-secret", None))["secret"])


def hooked(repository: Path, **values: str) -> None:
    """Have a repository tell of each push."""
    hook = repository / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(python=sys.executable, **values))
    hook.chmod(0o755)


def pushed(repository: Path, index: str) -> str:
    """Commit another page in a clone, and push it as people do. What git printed."""
    work = repository.with_name("clone")
    if not work.exists():
        git(work.parent, "clone", "--quiet", str(repository), str(work))
    (work / INDEX).write_text(index)
    git(work, "commit", "--quiet", "--all", "-m", index.strip())
    done = subprocess.run(["git", "-C", str(work), "push", "origin", "HEAD:main"], env=GIT_ENV, capture_output=True, check=True)
    return done.stderr.decode()


async def test_a_git_push_brings_the_new_version_up(house: House, sample: Sample) -> None:
    app = await house.app(gitSource=sample.source)
    await app.deployed()
    assert await app.page() == "version 1"
    url = f"{house.installation.url}/api/webhooks/github"
    hooked(sample.repository.path, clone_url=sample.url, secret=await secret_of(app), url=url)
    printed = pushed(sample.repository.path, "version 2\n")
    assert '"status":"queued"' in printed
    deployment = succeeded(await house.installation.ended((await app.last_deployment())["id"]))
    assert (deployment["trigger"], deployment["commitMessage"]) == ("webhook", "version 2")
    assert deployment["commitSha"] == git(sample.repository.path, "rev-parse", "main")
    assert await app.page() == "version 2"


async def told(installation: Installation, app: App) -> list[dict[str, Any]]:
    """What the database holds of an application, of its deployments and of what happened to them, as text."""
    columns = "select to_jsonb(r)::text as row from {} r where {} = $1::uuid"
    of = {"application": "id", "deployment": "application_id"}
    rows = [row for table, column in of.items() for row in await installation.database.fetch(columns.format(table, column), app.id)]
    events = "select e.message as row from event e join deployment d on d.id = e.deployment_id where d.application_id = $1::uuid"
    return [row["row"] for row in [*rows, *await installation.database.fetch(events, app.id)]]


async def test_a_closed_repository_is_opened_by_its_token_and_hears_what_becomes_of_its_commit(
    house: House, sample: Sample, tmp_path: Path
) -> None:
    with serve(sample.repository.path.parent) as server:
        server.mode = "token"
        server.opened_by = f"Basic {base64.b64encode(f'robot:{TOKEN}'.encode()).decode()}"
        source = {"repoUrl": server.url(sample.repository.path.name), "branch": "main", "provider": "gitea"}
        app = await house.app(gitSource=source)
        assert "private or does not exist" in (await app.failed())["error"]["message"]
        await app.patch(gitSource=source | {"username": "robot", "token": TOKEN})
        sample.commit(Dockerfile=DOCKERFILE + "RUN ! grep -r nobody-knows / --include=* -s --exclude-dir=proc --exclude-dir=sys\n")
        deployment = await app.deployed()
        assert await app.page() == "version 1"

        async def ended() -> list[str]:
            found = [json.loads(body)["state"] for _, _, body in server.told]
            return found if "success" in found else []

        states = await eventually(ended, within=30)
        assert states in (["pending", "success"], ["success"]), "what is over before anybody looked is told by its end"
        path = f"/api/v1/repos/{sample.repository.path.name.removesuffix('.git')}/statuses/{deployment['commitSha']}"
        assert {(at, by) for at, by, _ in server.told} == {(path, f"token {TOKEN}")}
    installation = house.installation
    seen = str(await told(installation, app)) + str(await app.shown()) + str(await installation.logs(deployment["id"]))
    seen += "".join(log.read_text() for log in (installation.log("worker-0"), installation.log("gateway")))
    seen += str(await installation.command("image", "history", "--no-trunc", deployment["image"]))
    assert seen
    assert TOKEN not in seen
    assert base64.b64encode(f"robot:{TOKEN}".encode()).decode() not in seen


async def test_a_deploy_key_opens_a_repository_over_ssh_and_its_host_is_pinned(house: House, sample: Sample) -> None:
    async with ssh_server(sample.repository.path.parent) as server:
        app = await house.app(gitSource={"repoUrl": server.url(sample.repository.path.name), "branch": "main"})
        server.authorized.append((await app.post("deploy-key"))["publicKey"])
        await app.deployed()
        assert await app.page() == "version 1"
        pinned = await house.installation.database.fetchval("select host_keys from application where id = $1", app.id)
        assert pinned.startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
        port = server.port
    async with ssh_server(sample.repository.path.parent, port) as impostor:
        impostor.authorized.append((await app.shown())["deployKey"])
        assert "not the one that was cloned from before" in (await app.failed())["error"]["message"]
        impostor.authorized.append((await app.post("deploy-key"))["publicKey"])
        await app.deployed()
