"""git: exact command lines, hostile values, and real fetches from a real server."""

import asyncio
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.git_server import Server, git, repository, serve
from workers import git_argv
from workers.addresses import Endpoint
from workers.git import (
    BranchNotFound,
    CloneFailed,
    CloneTimedOut,
    Commit,
    CommitNotFound,
    DiskFull,
    ForbiddenAddress,
    GitError,
    InvalidSource,
    OutsideCheckout,
    Source,
    checkout,
    inside,
    parse_commit,
)
from workers.git_errors import explain
from workers.processes import Finished

GITHUB = Endpoint("https", "", "github.com", 443, "/a/b", addresses=("140.82.121.4", "2a00::5"))
SETTINGS = [
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "credential.helper=", "-c", "http.followRedirects=false"),
    *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30", "-c", "submodule.recurse=false", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "advice.detachedHead=false", "-c", "i18n.logOutputEncoding=UTF-8"),
]
MESSAGES = ["first", "second", "third: résumé\n\nbody\x1b[31m\nlast line"]


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("hosted")
    ids = repository(root, "app.git", MESSAGES)
    with serve(root) as server:
        yield server, ids


@pytest.fixture
def server(hosted) -> Server:
    hosted[0].mode = "smart"
    hosted[0].hits.clear()
    hosted[0].headers.clear()
    return hosted[0]


@pytest.fixture
def ids(hosted) -> list[str]:
    return hosted[1]


async def fetch(server: Server, target: Path, *, deadline: float = 20, name: str = "app.git", on_line=None, **source) -> Commit:
    source = {"branch": "main"} | source
    return await checkout(
        Source(server.url(name), **source), target, allowed_hosts=frozenset({server.host}), deadline=deadline, on_line=on_line
    )


# --- command lines -----------------------------------------------------------------------------------------------------------


def test_fetch_argv_pins_the_checked_addresses():
    pin = ["-c", "http.curloptResolve=github.com:443:140.82.121.4,[2a00::5]"]
    options = ["--depth", "1", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph", "--progress", "--"]
    argv = git_argv.fetch(Path("/w"), GITHUB, "refs/heads/main", whole=False)
    assert argv == ["git", "-C", "/w", *SETTINGS, *pin, "fetch", *options, "https://github.com/a/b", "refs/heads/main"]
    assert "--depth" not in git_argv.fetch(Path("/w"), GITHUB, "refs/heads/main", whole=True)


def test_the_other_command_lines():
    assert git_argv.init(Path("/w")) == ["git", "-c", "init.defaultBranch=main", "init", "--quiet", "--template=", "--", "/w"]
    assert git_argv.check_branch("a/b") == ["git", "check-ref-format", "refs/heads/a/b"]
    start = ["git", "-C", "/w", *SETTINGS]
    assert git_argv.resolve(Path("/w"), "abc1234") == [*start, "rev-parse", "--verify", "--quiet", "--end-of-options", "abc1234^{commit}"]
    assert git_argv.checkout(Path("/w"), "abc") == [*start, "checkout", "--quiet", "--force", "--detach", "abc", "--"]
    assert git_argv.describe(Path("/w"), "abc") == [*start, "log", "-1", "--no-show-signature", "--format=%H%x00%an%x00%B", "abc", "--"]


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch):
    for name in ("GIT_DIR", "GIT_SSH_COMMAND", "https_proxy", "GIT_CONFIG_PARAMETERS", "SSH_AUTH_SOCK", "SECRET"):
        monkeypatch.setenv(name, "x")
    assert git_argv.environment(GITHUB) == {
        "PATH": os.environ["PATH"],
        "HOME": "/dev/null",
        "XDG_CONFIG_HOME": "/dev/null",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
    }
    assert git_argv.environment(Endpoint("http", "", "h", 80, "/"))["GIT_ALLOW_PROTOCOL"] == "https:ssh:http"


def test_ssh_is_pinned_and_has_no_key_of_the_worker():
    endpoint = Endpoint("ssh", "git", "github.com", 22, "a/b", scp=True, addresses=("140.82.121.4",))
    assert git_argv.ssh(endpoint) == [
        *("ssh", "-F", "/dev/null", "-oBatchMode=yes", "-oConnectTimeout=15", "-oStrictHostKeyChecking=accept-new"),
        "-oUserKnownHostsFile=~/.ssh/known_hosts",
        *("-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-oIdentityFile=none"),
        *("-oHostName=140.82.121.4", "-oHostKeyAlias=github.com"),
    ]
    assert "-oIdentityFile=/keys/1" in git_argv.ssh(endpoint, Source("", "", ssh_key=Path("/keys/1")))


def test_a_token_is_in_the_environment_only():
    source = Source("https://github.com/a/b", "main", token="t0ken")
    env = git_argv.environment(GITHUB, source)
    assert env["GIT_CONFIG_KEY_0"] == "http.extraHeader"
    assert env["GIT_CONFIG_VALUE_0"] == "Authorization: Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4="
    assert "t0ken" not in repr(source)


# --- hostile values ----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "--upload-pack=touch canary",
    "-x",
    "a b",
    "a\nb",
    "a\0b",
    "$(touch canary)",
    "`touch canary`",
    ";touch canary",
    "../x",
    "a..b",
    "a.lock",
    "@{",
    "",
    ".x",
    "/x",
    "x/",
    "a//b",
    "a\x7f",
    "é" * 300,
    "\ud800",
]


@pytest.mark.parametrize("branch", [*HOSTILE, "HEAD:x", "+main", "main:refs/heads/x", "*", "x~1", "x^", "x?", "x[", "x\\"])
async def test_a_hostile_branch_reaches_no_server(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, branch: str):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InvalidSource, BranchNotFound)):
        await fetch(server, tmp_path / "work", branch=branch)
    assert not list(tmp_path.rglob("canary"))


@pytest.mark.parametrize("sha", [*HOSTILE, "HEAD", "abc", "g" * 40, "A" * 40, "a" * 65])
async def test_a_hostile_commit_is_refused(server: Server, tmp_path: Path, sha: str):
    with pytest.raises(InvalidSource):
        await fetch(server, tmp_path / "work", commit_sha=sha)
    assert server.hits == []


@settings(max_examples=300)
@given(st.text(max_size=40))
def test_one_value_is_one_item(text: str):
    try:
        source = git_argv.validate(Source("https://github.com/a/b", branch=text))
    except InvalidSource:
        return
    argv = git_argv.fetch(Path("/w"), GITHUB, f"refs/heads/{source.branch}", whole=False)
    plain = git_argv.fetch(Path("/w"), GITHUB, "refs/heads/x", whole=False)
    assert argv[:-1] == plain[:-1]
    assert not text.startswith("-")


async def test_a_forbidden_address_is_never_connected_to(server: Server, tmp_path: Path):
    port = server.server_address[1]
    for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "2130706433"):
        for scheme in ("http", "https", "ssh"):
            with pytest.raises(ForbiddenAddress):
                await checkout(
                    Source(f"{scheme}://{host}:{port}/app.git", "main"), tmp_path / "work", allowed_hosts=frozenset(), deadline=5
                )
    with pytest.raises(InvalidSource):
        await checkout(Source("file:///etc", "main"), tmp_path / "work", allowed_hosts=frozenset(), deadline=5)
    assert server.hits == []


# --- real fetches ------------------------------------------------------------------------------------------------------------


async def test_the_tip_of_a_branch(server: Server, ids: list[str], tmp_path: Path):
    lines = []
    commit = await fetch(server, tmp_path / "work", on_line=lambda stream, text: lines.append(text))
    assert commit == Commit(ids[2], "third: résumé\n\nbody\nlast line", "Ada Löve")
    assert (tmp_path / "work" / "file").read_text() == "2"
    assert git(tmp_path / "work", "rev-list", "--count", "HEAD") == "1"
    assert any("Counting objects" in line for line in lines)


async def test_a_pinned_commit_after_the_branch_has_moved_on(server: Server, ids: list[str], tmp_path: Path):
    assert (await fetch(server, tmp_path / "work", commit_sha=ids[0])).sha == ids[0]
    assert (tmp_path / "work" / "file").read_text() == "0"


async def test_an_abbreviated_commit(server: Server, ids: list[str], tmp_path: Path):
    assert (await fetch(server, tmp_path / "work", commit_sha=ids[1][:8])).sha == ids[1]


async def test_a_server_that_refuses_commits_by_id(server: Server, ids: list[str], tmp_path: Path):
    server.mode = "old"  # protocol version 0: only advertised ids
    assert (await fetch(server, tmp_path / "work", commit_sha=ids[0])).sha == ids[0]


async def test_a_server_that_only_serves_files(server: Server, ids: list[str], tmp_path: Path):
    server.mode = "dumb"
    assert (await fetch(server, tmp_path / "one")).sha == ids[2]
    assert (await fetch(server, tmp_path / "two", commit_sha=ids[0])).sha == ids[0]


@pytest.mark.parametrize("mode", ["smart", "old", "dumb"])
@pytest.mark.parametrize("sha", ["0123456789" * 4, "0123456"])
async def test_a_commit_that_is_not_there(server: Server, tmp_path: Path, mode: str, sha: str):
    server.mode = mode
    with pytest.raises(CommitNotFound) as caught:
        await fetch(server, tmp_path / "work", commit_sha=sha)
    assert caught.value.code == "COMMIT_NOT_FOUND"


@pytest.mark.parametrize("mode", ["smart", "old", "dumb"])
async def test_a_branch_that_is_not_there(server: Server, tmp_path: Path, mode: str):
    server.mode = mode
    with pytest.raises(BranchNotFound) as caught:
        await fetch(server, tmp_path / "work", branch="nowhere")
    assert caught.value.code == "BRANCH_NOT_FOUND"
    with pytest.raises(BranchNotFound):
        await fetch(server, tmp_path / "again", branch="nowhere", commit_sha="0123456")


async def test_a_repository_that_is_not_there(server: Server, tmp_path: Path):
    with pytest.raises(CloneFailed, match="no repository at this URL") as caught:
        await fetch(server, tmp_path / "work", name="nothing.git")
    assert any("not found" in line for line in caught.value.tail)


async def test_a_private_repository(server: Server, tmp_path: Path):
    server.mode = "private"
    with pytest.raises(CloneFailed, match="private or does not exist"):
        await fetch(server, tmp_path / "work")


async def test_a_token_reaches_the_server(server: Server, tmp_path: Path):
    await fetch(server, tmp_path / "work", token="t0ken")
    assert server.headers[0] == "Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4="
    assert "t0ken" not in (tmp_path / "work/.git/config").read_text()


@pytest.mark.parametrize("offered", [False, True])
async def test_what_the_home_of_the_worker_has_is_offered_to_no_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: bool
):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login operator password secret\n")
    (tmp_path / ".git-credentials").write_text(f"http://operator:secret@{server.host}\n")
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "config").write_text("[credential]\nhelper=store\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    if offered:  # the control: with that home the same command sends what is in it
        monkeypatch.setattr(git_argv, "_NO_HOME", str(tmp_path))
    server.mode = "private"
    with pytest.raises(CloneFailed, match="private or does not exist"):
        await fetch(server, tmp_path / "work")
    sent = {header for header in server.headers if header}
    assert sent == ({"Basic b3BlcmF0b3I6c2VjcmV0"} if offered else set())


def test_the_ssh_command_survives_the_shell():
    endpoint = Endpoint("ssh", "git", "github.com", 22, "a/b", scp=True, addresses=("140.82.121.4",))
    command = git_argv.environment(endpoint)["GIT_SSH_COMMAND"]
    printed = subprocess.run(["sh", "-c", f'printf "%s\\n" {command}'], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == git_argv.ssh(endpoint)


async def test_redirects_are_not_followed(server: Server, tmp_path: Path):
    server.mode = "redirect"
    with pytest.raises(CloneFailed, match="redirects"):
        await fetch(server, tmp_path / "work")
    assert not any("else" in hit for hit in server.hits)


async def test_a_server_that_is_not_there(tmp_path: Path):
    with pytest.raises(CloneFailed, match="cannot be reached"):
        await checkout(Source("http://127.0.0.1:1/x", "main"), tmp_path / "work", allowed_hosts=frozenset({"127.0.0.1:1"}), deadline=5)


async def test_a_server_that_hangs(server: Server, tmp_path: Path):
    server.mode = "hang"
    start = time.monotonic()
    with pytest.raises(CloneTimedOut) as caught:
        await fetch(server, tmp_path / "work", deadline=0.5)
    assert time.monotonic() - start < 5
    assert caught.value.code == "TIMED_OUT"


async def test_a_fetch_is_cancelled(server: Server, tmp_path: Path):
    server.mode = "hang"
    task = asyncio.create_task(fetch(server, tmp_path / "work"))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_nothing_on_the_machine_or_in_the_repository_runs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    hook = hooks / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
    hook.chmod(stat.S_IRWXU)
    (tmp_path / ".gitconfig").write_text(f"[init]\ntemplateDir={tmp_path}/template\n[core]\nhooksPath={hooks}\nfsmonitor={hook}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    await fetch(server, tmp_path / "work")
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "work/.git/hooks").exists()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("fatal: write error: No space left on device", DiskFull),
        ("fatal: couldn't find remote ref refs/heads/x", BranchNotFound),
        ("git@github.com: Permission denied (publickey).", CloneFailed),
        ("remote: Repository not found.", CloneFailed),
        ("Host key verification failed.", CloneFailed),
        ("error: cannot run ssh: No such file or directory", CloneFailed),
        ("fatal: something new", CloneFailed),
    ],
)
def test_explanations(line: str, error: type[GitError]):
    explained = explain(Finished(128, ("noise", line)), GITHUB)
    assert type(explained) is error
    assert explained.tail == ("noise", line)
    assert str(explained)


def test_a_long_hostile_message_is_cut_and_cleaned():
    commit = parse_commit(b"a" * 40 + b"\0\x1b[31mEve\xff\0" + b"x\x00\x07" * 10000)
    assert commit.author == "Eve�"
    assert len(commit.message) <= 10_000
    assert set(commit.message) == {"x"}


# --- paths inside a checkout -------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub/deep").mkdir(parents=True)
    (root / "Dockerfile").write_text("x")
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to("/etc/passwd")
    (root / "near").symlink_to("Dockerfile")
    (root / "up").symlink_to("..")
    (root / "chain").symlink_to("up")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    (root / "sub/out").symlink_to("../../secret")
    return root


@pytest.mark.parametrize(
    "relative", ["Dockerfile", "sub", "sub/deep/", "./sub//./deep", ".", "", "not/there", "Dockerfile/x", "..x", "sub/...", "é"]
)
def test_paths_inside(tree: Path, relative: str):
    assert inside(tree, relative).is_relative_to(tree)


@pytest.mark.parametrize(
    "relative",
    [
        *(
            "/etc/passwd",
            "//etc",
            "..",
            "../secret",
            "sub/../../secret",
            "sub/..",
            "a\0b",
            "link",
            "near",
            "up",
            "up/secret",
            "chain/secret",
        ),
        *("loop", "loop/x", "dangling", "sub/out", "up/tree/Dockerfile", "x" * 256, "x/" * 3000),
    ],
)
def test_paths_that_lead_out(tree: Path, relative: str):
    with pytest.raises(OutsideCheckout):
        inside(tree, relative)


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "link", "up", "sub", "/", "tree", ""])).map("/".join))
def test_any_path_stays_inside_or_is_refused(tmp_path_factory: pytest.TempPathFactory, relative: str):
    root = tmp_path_factory.getbasetemp() / "any"
    if not root.exists():
        (root / "sub").mkdir(parents=True)
        (root / "up").symlink_to("..")
    try:
        path = inside(root, relative)
    except OutsideCheckout:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root)
