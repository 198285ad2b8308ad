"""Programs that are missing are installed where that is ours to do, and named where it is not."""

import os
import shutil
from pathlib import Path

import pytest

from gateway.embedded import engine_install
from gateway.embedded.engine_install import InstallFailed, MissingProgram, install_programs

NODE = {"sh": "dash", "node": "nodejs", "npm": "npm"}


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is reported on a Debian machine with nothing but `sh` and an `apt-get` that logs what it is asked for."""
    (tmp_path / "os-release").write_text("ID=debian\n")
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    apt = tmp_path / "apt-get"
    apt.write_text('#!/bin/sh\necho "$@"\n[ "$2" != -y ] || exit ${APT_STATUS:-0}\n')
    apt.chmod(0o755)
    monkeypatch.setattr(engine_install, "OS_RELEASE", tmp_path / "os-release")
    monkeypatch.setattr(engine_install, "path_with_sbin", lambda: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return []


async def test_only_what_is_missing_is_installed_and_that_is_said(said: list[str], tmp_path: Path) -> None:
    await install_programs(NODE, tmp_path / "log", said.append)
    assert (tmp_path / "log").read_text() == "update\ninstall -y --no-install-recommends nodejs npm\n"
    (line,) = said
    assert line.startswith(
        "there is no node and npm: installing with `apt-get update && apt-get install -y --no-install-recommends nodejs npm`"
    )


async def test_nothing_is_done_when_nothing_is_missing(said: list[str], tmp_path: Path) -> None:
    await install_programs({"sh": "dash"}, tmp_path / "log", said.append)
    assert said == []
    assert not (tmp_path / "log").exists()


async def test_an_apt_that_fails_is_a_sentence(said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APT_STATUS", "100")
    with pytest.raises(InstallFailed, match="nodejs npm ended with status 100"):
        await install_programs(NODE, tmp_path / "log", said.append)


async def test_without_root_it_is_said_how(said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingProgram, match=r"there is no node and npm: run this as root .* `sudo apt-get install nodejs npm`"):
        await install_programs(NODE, tmp_path / "log", said.append)


async def test_elsewhere_nothing_is_installed(said: list[str], tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=fedora\n")
    with pytest.raises(MissingProgram, match=r"there is no node and npm: install them$"):
        await install_programs(NODE, tmp_path / "log", said.append)
