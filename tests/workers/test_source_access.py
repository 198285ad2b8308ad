"""What opens a source: tokens, deploy keys and the keys of hosts, to whom they are shown, and where they never are."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from models import Application
from tests.workers.git_server import repository, serve
from tests.workers.ssh_server import SshServer, ssh_server
from workers import git
from workers.git_errors import CloneFailed
from workers.source_access import HOST_KEYS, Access, Opened, opened

TOKEN = "a-token-that-nobody-knows"


def application(url: str = "https://github.com/user/app", **columns: Any) -> Application:
    source = {"repo_url": url, "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"} | columns.pop("source", {})
    keys = {"git_token": {"token": TOKEN}, "deploy_key_private": {"pem": "private"}, "host_keys": "known"}
    return Application(name="app", service_name="app", git_source=source, env_vars=[], **(keys | columns))


@pytest.mark.parametrize(
    ("url", "username"),
    [
        ("https://github.com/user/app", "x-access-token"),
        ("https://gitlab.com/user/app", "oauth2"),
        ("https://codeberg.org/user/app", "oauth2"),
        ("https://bitbucket.org/user/app", "x-token-auth"),
        ("https://git.example.com/user/app", "x-access-token"),
    ],
)
def test_a_token_is_the_password_of_whom_its_provider_says(url: str, username: str) -> None:
    access = Access.of(application(url), url)
    assert (access.username, access.token) == (username, TOKEN)


def test_a_provider_or_a_name_that_was_given_wins() -> None:
    url = "https://git.example.com/user/app"
    assert Access.of(application(url, source={"provider": "gitlab"}), url).username == "oauth2"
    assert Access.of(application(url, source={"provider": "gitlab", "username": "robot"}), url).username == "robot"


@pytest.mark.parametrize(
    "url",
    ["https://evil.example.com/user/app", "http://github.com/user/app", "https://github.com:8443/user/app", "git@github.com:user/app"],
)
def test_nothing_is_shown_to_another_host(url: str) -> None:
    assert Access.of(application(), url) == Access()


def test_what_is_sent_is_kept_out_of_the_log_in_every_form() -> None:
    access = Access(token=TOKEN, username="oauth2", private_key="private")
    assert set(access.secrets) == {TOKEN, "b2F1dGgyOmEtdG9rZW4tdGhhdC1ub2JvZHkta25vd3M=", "private"}
    assert Access().secrets == []


def test_keys_are_files_of_ones_own_for_ssh_alone_and_only_for_a_while(tmp_path: Path) -> None:
    access = Access(token=TOKEN, private_key="private", host_keys="known")
    with opened(access, tmp_path, "git@git.example.com:user/app") as found:
        source = found.source("main", None)
        assert (source.ssh_key, source.known_hosts, source.pinned, source.token) == (
            tmp_path / "deploy_key", tmp_path / "known_hosts", True, None,
        )  # fmt: skip
        assert {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {
            "deploy_key": ("private", 0o600),
            "known_hosts": ("known", 0o600),
        }
    assert list(tmp_path.iterdir()) == []
    with opened(access, tmp_path, "https://git.example.com/user/app") as found:
        assert (found.source("main", None).token, list(tmp_path.iterdir())) == (TOKEN, [])


def test_hosts_that_publish_their_keys_are_trusted_with_these_only(tmp_path: Path) -> None:
    with opened(Access(), tmp_path, "git@github.com:user/app") as found:
        assert (tmp_path / "known_hosts").read_text() == HOST_KEYS
        assert found.source("main", None).pinned


async def test_a_token_opens_a_repository_and_stands_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosted").mkdir()
    repository(tmp_path / "hosted", "app.git", ["first"])
    argvs: list[list[str]] = []
    run = git.processes.run

    async def recorded(argv: list[str], **options: Any) -> Any:
        argvs.append(argv)
        return await run(argv, **options)

    monkeypatch.setattr(git.processes, "run", recorded)
    with serve(tmp_path / "hosted") as server, opened(Access(token=TOKEN), tmp_path, server.url("app.git")) as found:
        await git.checkout(found.source("main", None), tmp_path / "out", allowed_hosts=frozenset({server.host}), deadline=20)
        assert server.headers
        assert set(server.headers) == {"Basic eC1hY2Nlc3MtdG9rZW46YS10b2tlbi10aGF0LW5vYm9keS1rbm93cw=="}
    assert argvs
    assert TOKEN not in str(argvs)
    assert TOKEN not in "".join(path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*") if path.is_file())


def a_key() -> tuple[str, str]:
    """Both halves of a new key."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


async def cloned(server: SshServer, access: Access, directory: Path) -> Opened:
    """Clone with what an access has; afterwards the opened files are as ssh left them."""
    directory.mkdir()
    found = Opened(access, directory, server.url("app.git"))
    found.write()
    allowed = frozenset({f"127.0.0.1:{server.port}"})
    await git.checkout(found.source("main", None), directory / "out", allowed_hosts=allowed, deadline=20)
    return found


async def test_a_deploy_key_opens_a_repository_and_its_host_is_known_from_then_on(tmp_path: Path) -> None:
    repository(tmp_path, "app.git", ["first"])
    private, public = a_key()
    async with ssh_server(tmp_path) as server:
        with pytest.raises(CloneFailed, match="private or does not exist"):
            await cloned(server, Access(private_key=private), tmp_path / "before")
        server.authorized.append(public)
        await cloned(server, Access(private_key=private), tmp_path / "first")
        learned = (tmp_path / "first" / "known_hosts").read_text()
        assert learned.startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
        await cloned(server, Access(private_key=private, host_keys=learned), tmp_path / "second")
        port = server.port
    async with ssh_server(tmp_path, port) as impostor:
        impostor.authorized.append(public)
        with pytest.raises(CloneFailed, match="not the one that was cloned from before"):
            await cloned(impostor, Access(private_key=private, host_keys=learned), tmp_path / "third")
        assert not (tmp_path / "third" / "out" / "file").exists()
