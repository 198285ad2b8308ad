"""What a repository can be instead of deployable: each is a failure with its own code, and nothing of the host gets out by it."""

from pathlib import Path
from secrets import token_hex

import pytest

from tests.docker.house import House
from tests.docker.installation import Installation
from tests.docker.sample import DOCKERFILE, INDEX, Sample, dockerfile

pytestmark = pytest.mark.docker

UNSEEN = "0123456789abcdef0123456789abcdef01234567"


async def test_a_repository_that_does_not_exist_fails_with_its_own_code(house: House, sample: Sample) -> None:
    app = await house.app(gitSource={"repoUrl": sample.url.replace("hello", "nothing")})
    failed = await app.failed()
    assert failed["error"]["code"] == "CLONE_FAILED"
    assert "There is no repository at this URL." in failed["error"]["message"]
    assert failed["error"]["output"]
    assert [stage["status"] for stage in failed["stages"]] == ["failed", "skipped", "skipped"]
    assert (await app.shown())["status"] == "error"


async def test_a_branch_that_does_not_exist_fails_with_its_own_code(house: House, sample: Sample) -> None:
    app = await house.app(gitSource=sample.source)
    assert (await app.failed(branch="nowhere"))["error"]["code"] == "BRANCH_NOT_FOUND"


@pytest.mark.parametrize("sha", [UNSEEN, UNSEEN[:9]])
async def test_a_commit_that_is_not_there_fails_with_its_own_code(house: House, sample: Sample, sha: str) -> None:
    app = await house.app(gitSource=sample.source)
    failed = await app.failed(commitSha=sha)
    assert failed["error"]["code"] == "COMMIT_NOT_FOUND"
    assert sha in failed["error"]["message"]


async def test_a_pinned_commit_is_what_runs_although_the_branch_has_moved_on(house: House, sample: Sample) -> None:
    pinned = sample.commit("Pinned", index="pinned\n")
    sample.commit("Newer", index="newer\n")
    app = await house.app(gitSource=sample.source)
    deployment = await app.deployed(commitSha=pinned)
    assert (deployment["commitSha"], deployment["commitMessage"]) == (pinned, "Pinned")
    assert await app.page() == "pinned"
    assert (await app.shown())["gitSource"]["lastCommitSha"] == pinned


async def test_a_repository_without_a_dockerfile_fails_with_its_own_code(house: House, sample: Sample) -> None:
    sample.commit(Dockerfile=None)
    app = await house.app(gitSource=sample.source)
    failed = await app.failed()
    assert failed["error"]["code"] == "DOCKERFILE_NOT_FOUND"
    assert "Dockerfile" in failed["error"]["message"]
    missing = await house.app(gitSource=sample.source | {"buildPath": "nowhere"})
    assert (await missing.failed())["error"]["code"] == "BUILD_PATH_NOT_FOUND"


async def test_a_directory_of_the_repository_is_built_with_a_dockerfile_of_another_name(house: House, sample: Sample) -> None:
    files = {
        "web/www/index.html": "from a directory\n",
        "web/docker/Page.dockerfile": DOCKERFILE,
        "Dockerfile": "FROM scratch\nCOPY nothing /\n",
    }
    sample.commit("Move", **files)
    app = await house.app(gitSource=sample.source | {"buildPath": "./web/", "dockerfile": "docker/Page.dockerfile"})
    await app.deployed()
    assert await app.page() == "from a directory"


@pytest.mark.parametrize("link", ["Dockerfile", "app", "deep/app"])
async def test_a_symbolic_link_out_of_the_repository_is_refused(
    house: House, sample: Sample, installation: Installation, tmp_path: Path, link: str
) -> None:
    canary = token_hex(16)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "Dockerfile").write_text(dockerfile(f"RUN echo {canary}"))
    sample.link(link, str(outside / "Dockerfile" if link == "Dockerfile" else outside))
    source = sample.source | ({} if link == "Dockerfile" else {"buildPath": link})
    app = await house.app(gitSource=source)
    failed = await app.failed()
    assert failed["error"]["code"] == "INVALID_PATH"
    assert "symbolic link" in failed["error"]["message"]
    assert canary not in str(failed) + str(await installation.logs(failed["id"]))
    assert await app.remains() == []


async def test_a_symbolic_link_among_the_files_never_brings_the_host_into_the_image(
    house: House, sample: Sample, installation: Installation, tmp_path: Path
) -> None:
    canary = token_hex(16)
    (tmp_path / "canary").write_text(canary)
    sample.link("www/leak", str(tmp_path / "canary"))
    app = await house.app(gitSource=sample.source)
    copied = await app.deployed()
    assert canary not in await app.page("/leak")

    sample.commit(Dockerfile=dockerfile(f"COPY {INDEX.replace('index.html', 'leak')} /www/read", "RUN cat /www/leak /www/read"))
    failed = await app.failed()
    assert failed["error"]["code"] == "BUILD_FAILED"
    for deployment in (copied, failed):
        assert canary not in str(deployment) + str(await installation.logs(deployment["id"]))
