import asyncio
import os
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from gateway.demo import git
from gateway.demo.git_http import Wants
from gateway.demo.repository import Repository

UNSEEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    directory = tmp_path / "content"
    (directory / "www").mkdir(parents=True)
    (directory / "www" / "index.html").write_text("version 1\n")
    (directory / "run").write_bytes(b"\x00\xff\r\n")
    (directory / "run").chmod(0o755)
    (directory / 'a "quoted" \\ name ü').write_text("")
    return directory


@pytest.fixture
def repository(tmp_path: Path, content: Path) -> Repository:
    return Repository.create(tmp_path / "with space" / "hello.git", content)


async def run_git(*arguments: str, seconds: float = 20) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=git.environment(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def must(*arguments: str) -> str:
    status, output = await run_git(*arguments)
    assert status == 0, output
    return output.strip()


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file() and ".git" not in file.parts
    }


async def test_the_first_commit_is_a_copy_of_the_content(repository: Repository, content: Path, tmp_path: Path) -> None:
    async with repository.serve() as url:
        assert urlsplit(url).hostname == "127.0.0.1"
        assert url.endswith("/hello.git")
        await must("clone", "--depth", "1", url, str(tmp_path / "clone"))
    assert files_of(tmp_path / "clone") == files_of(content)
    assert os.access(tmp_path / "clone" / "run", os.X_OK)
    assert not os.access(tmp_path / "clone" / "www" / "index.html", os.X_OK)
    described = await must("-C", str(tmp_path / "clone"), "log", "-1", "--format=%an <%ae>|%cn|%s|%D")
    assert described == "Ada Lovelace <ada@example.com>|Ada Lovelace|First version|grafted, HEAD -> main, origin/main, origin/HEAD"


async def test_commits_are_seen_while_it_is_served(repository: Repository, tmp_path: Path) -> None:
    clone = str(tmp_path / "clone")
    async with repository.serve() as url:
        await must("clone", "--depth", "1", url, clone)
        commit = repository.commit("Ünïcode\n\nand a body", {"www/index.html": "version 2\n", "run": None, "new/deep.txt": "ü"})
        await must("-C", clone, "fetch", "--depth", "1")
        await must("-C", clone, "reset", "--hard", "origin/main")
    assert await must("-C", clone, "rev-parse", "HEAD") == commit == repository.branches()["main"]
    assert await must("-C", clone, "log", "-1", "--format=%B") == "Ünïcode\n\nand a body"
    files = files_of(tmp_path / "clone")
    assert files["www/index.html"] == b"version 2\n"
    assert files["new/deep.txt"] == "ü".encode()
    assert "run" not in files
    assert (await must("-C", clone, "rev-list", "--count", "HEAD")) == "1"


async def test_another_branch_starts_where_head_is(repository: Repository, tmp_path: Path) -> None:
    first = repository.branches()["main"]
    on_branch = repository.commit("On a branch", {"branch.txt": "x"}, branch="feature/one")
    again = repository.commit("Again", {"branch.txt": "y"}, branch="feature/one")
    assert repository.branches() == {"main": first, "feature/one": again}
    async with repository.serve() as url:
        await must("clone", "--branch", "feature/one", "--single-branch", url, str(tmp_path / "clone"))
        assert (await run_git("clone", "--branch", "nothing", url, str(tmp_path / "no")))[0] == 128
    assert (await must("-C", str(tmp_path / "clone"), "rev-list", "HEAD")).split() == [again, on_branch, first]


async def test_head_may_be_another_branch(tmp_path: Path, content: Path) -> None:
    repository = Repository.create(tmp_path / "other", content, branch="trunk")
    async with repository.serve() as url:
        await must("clone", url, str(tmp_path / "clone"))
    assert list(repository.branches()) == ["trunk"]
    assert await must("-C", str(tmp_path / "clone"), "branch", "--show-current") == "trunk"


@pytest.mark.parametrize("client", ["0", "1", "2"])
async def test_every_version_of_the_protocol_is_spoken(repository: Repository, tmp_path: Path, client: str) -> None:
    async with repository.serve() as url:
        await must("-c", f"protocol.version={client}", "clone", "--depth", "1", url, str(tmp_path / "clone"))
        async with httpx2.AsyncClient() as http:
            answer = await http.get(f"{url}/info/refs?service=git-upload-pack", headers={"Git-Protocol": f"version={client}"})
    assert (b"version 2" in answer.content) == (client == "2")
    assert (b"version 1" in answer.content) == (client == "1")


@pytest.mark.parametrize(
    ("wants", "tip", "older", "unreachable"),
    [("tips", True, False, False), ("reachable", True, True, False), ("any", True, True, True)],
)
async def test_a_commit_is_fetched_by_its_hash_as_far_as_the_server_allows(
    repository: Repository, tmp_path: Path, *, wants: Wants, tip: bool, older: bool, unreachable: bool
) -> None:
    first = repository.branches()["main"]
    last = repository.commit("Second version", {"www/index.html": "version 2\n"})
    lost = repository.commit("To be lost", {"www/index.html": "version 3\n"}, branch="lost")
    git.output_of(f"--git-dir={repository.path}", "update-ref", "-d", "refs/heads/lost")
    clone = str(tmp_path / "clone")
    await must("init", "--quiet", clone)
    async with repository.serve(wants=wants, protocol_v2=False) as url:
        for commit, allowed in ((last, tip), (first, older), (lost, unreachable), (UNSEEN, False)):
            status, output = await run_git("-C", clone, "fetch", "--depth", "1", url, commit)
            assert (status == 0) == allowed, (commit, output)
            if allowed:
                assert await must("-C", clone, "rev-parse", "FETCH_HEAD") == commit


async def test_version_2_allows_every_commit(repository: Repository, tmp_path: Path) -> None:
    first = repository.branches()["main"]
    repository.commit("Second version", {"www/index.html": "version 2\n"})
    await must("init", "--quiet", str(tmp_path / "clone"))
    async with repository.serve(wants="tips") as url:
        await must("-C", str(tmp_path / "clone"), "fetch", "--depth", "1", url, first)


async def test_a_long_negotiation_is_understood(repository: Repository, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    async with repository.serve() as url:
        await must("clone", url, str(clone))
        here = Repository(clone / ".git")
        for number in range(40):
            here.commit(f"Mine {number}", {"mine": str(number)})
        theirs = repository.commit("Theirs", {"theirs": "x"})
        trace = await must("-C", str(clone), "-c", "protocol.version=0", "fetch", "origin")
    assert "main" in trace
    assert await must("-C", str(clone), "rev-parse", "origin/main") == theirs


async def test_nothing_can_be_pushed(repository: Repository, tmp_path: Path) -> None:
    before = repository.branches()
    async with repository.serve() as url:
        await must("clone", "--quiet", url, str(tmp_path / "clone"))
        Repository(tmp_path / "clone" / ".git").commit("Mine", {"mine": "x"})
        status, output = await run_git("-C", str(tmp_path / "clone"), "push", "origin", "HEAD")
        assert status == 128
        assert "403" in output
        async with httpx2.AsyncClient() as http:
            assert (await http.post(f"{url}/git-receive-pack", content=b"0000")).status_code == 403
    assert repository.branches() == before


@pytest.mark.parametrize("dumb", [False, True])
async def test_nothing_outside_the_repository_is_served(repository: Repository, *, dumb: bool) -> None:
    (repository.path.parent / "secret").write_text("secret")
    async with repository.serve(dumb=dumb) as url:
        address = urlsplit(url)
        for target in (
            "/hello.git/../secret",
            "/hello.git/%2e%2e/secret",
            f"/hello.git/{quote(str(repository.path.parent))}/secret",
            "//etc/passwd",
            "/etc/passwd",
            "/",
        ):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert answer.startswith(b"HTTP/1.1 404 "), (target, answer)


async def test_a_dumb_server_serves_the_branches_whole(repository: Repository, content: Path, tmp_path: Path) -> None:
    async with repository.serve(dumb=True) as url:
        status, output = await run_git("clone", "--depth", "1", url, str(tmp_path / "shallow"))
        assert status == 128
        assert "dumb http transport does not support shallow capabilities" in output
        await must("clone", url, str(tmp_path / "clone"))
        assert files_of(tmp_path / "clone") == files_of(content)
        commit = repository.commit("Second version", {"www/index.html": "version 2\n"})
        await must("-C", str(tmp_path / "clone"), "fetch")
    assert await must("-C", str(tmp_path / "clone"), "rev-parse", "origin/main") == commit


async def test_a_hanging_server_never_answers_and_still_ends_at_once(repository: Repository, tmp_path: Path) -> None:
    async with repository.serve(hang=True) as url:
        with pytest.raises(TimeoutError):
            await run_git("clone", url, str(tmp_path / "clone"), seconds=1)
        address = urlsplit(url)
        waiting = await asyncio.to_thread(socket.create_connection, (address.hostname, address.port))
        left = time.monotonic()
    assert time.monotonic() - left < 2
    waiting.close()


async def test_nothing_of_a_server_outlives_its_context(repository: Repository) -> None:
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="inside"):
        async with repository.serve() as url, httpx2.AsyncClient() as kept:
            assert (await kept.get(f"{url}/info/refs?service=git-upload-pack")).status_code == 200
            raise RuntimeError("inside")
    assert [thread.name for thread in threading.enumerate() if thread.name == "git-http"] == []
    assert threading.active_count() <= threads + 1  # the event loop's own thread pool
    address = urlsplit(url)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(address.hostname, address.port)


async def test_a_repository_can_be_served_twice(repository: Repository, tmp_path: Path) -> None:
    async with repository.serve() as one, repository.serve(dumb=True) as other:
        assert one != other
        await asyncio.gather(must("clone", one, str(tmp_path / "one")), must("clone", other, str(tmp_path / "other")))
    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")


def test_settings_of_the_machine_do_not_matter(tmp_path: Path, content: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[init]\n\tdefaultBranch = other\n[user]\n\tname = Somebody\n[broken")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    repository = Repository.create(tmp_path / "hello.git", content)
    assert list(repository.branches()) == ["main"]
    assert b"Somebody" not in git.output_of(f"--git-dir={repository.path}", "log", "--format=%an %cn", "main")


def test_a_wrong_commit_says_why(repository: Repository) -> None:
    with pytest.raises(git.GitError, match=r"refs/heads/main\.lock"):
        (repository.path / "refs" / "heads" / "main.lock").touch()
        repository.commit("Refused", {"x": "y"})
