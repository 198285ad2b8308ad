"""Installing the distribution's Docker Engine, and other programs we need, on Debian and Ubuntu."""

import os
import shlex
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.embedded.children import Command, last_lines, run
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.supervisor import Report

OS_RELEASE: Final = Path("/etc/os-release")
_SBIN: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_GRACE: Final = 120.0
"""Seconds apt may take to end in order: a half-configured package is worse than a late end."""


class NoEngine(EmbeddedError):
    """No Docker Engine answers: install Docker Engine 20.10 or newer, start it, and see that `docker info` works for this user."""


class EngineFailed(EmbeddedError):
    """The Docker Engine is installed but does not come up."""


class InstallFailed(EmbeddedError):
    """What is missing could not be installed."""


class MissingProgram(EmbeddedError):
    """A program is missing, and installing it is not ours to do."""


def path_with_sbin() -> str:
    """The search path with the directories of system programs, where `dockerd` and `iptables` are."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


def is_debian_like(os_release: str) -> bool:
    """Whether the text of `/etc/os-release` is that of Debian, Ubuntu or a relative."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    names = " ".join(fields.get(key, "").strip("\"'") for key in ("ID", "ID_LIKE")).split()
    return not {"debian", "ubuntu"}.isdisjoint(names)


def must_be_ours_to_start() -> None:
    """Raises `NoEngine` where installing and starting it is not ours to do: not root, or no Debian or Ubuntu."""
    debian = _debian()
    if _ours_to_install():
        return
    if _has("dockerd"):
        raise NoEngine("the Docker Engine is installed but does not answer: start it (for example `sudo systemctl start docker`)")
    if debian:
        raise NoEngine("no Docker Engine answers: run this as root to have it installed, or run `sudo apt-get install docker.io`")
    raise NoEngine


def packages(present: Mapping[str, bool], *, separate_cli: bool) -> list[str]:
    """What to install, given which programs are present; nothing when `dockerd` is."""
    if present["dockerd"]:
        return []
    wanted = ["docker.io"]
    if separate_cli and not present["docker"]:
        wanted.append("docker-cli")
    return [*wanted, *(name for name in ("iptables", "git") if not present[name]), "ca-certificates"]


def apt_argvs(wanted: list[str]) -> list[list[str]]:
    """The command lines that install `wanted`."""
    return [["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *wanted]]


async def install_missing(log: Path, report: Report) -> None:
    """Install the engine unless it is installed, with apt's output in `log`. Raises `InstallFailed`."""
    present = {name: _has(name) for name in ("dockerd", "docker", "iptables", "git")}
    wanted = packages(present, separate_cli=False)
    if not wanted:
        return
    update, install = apt_argvs(wanted)
    report(f"there is no Docker Engine: installing it with `{shlex.join(update)} && {shlex.join(install)}`, output in {log}")
    await _apt(update, log)
    # From Debian 13 on the command line is a package of its own, which docker.io only recommends.
    separate_cli = await run(Command("apt-cache", ["apt-cache", "show", "docker-cli"], output=Path(os.devnull))) == 0
    await _apt(apt_argvs(packages(present, separate_cli=separate_cli))[1], log)


async def install_programs(programs: Mapping[str, str], log: Path, report: Report) -> None:
    """Install those of `programs` that are missing; each names its package. Raises `MissingProgram` and `InstallFailed`."""
    missing = {program: package for program, package in programs.items() if not _has(program)}
    if not missing:
        return
    names, wanted = " and ".join(missing), list(missing.values())
    if not _ours_to_install():
        how = (
            f"run this as root to have that done, or run `sudo apt-get install {shlex.join(wanted)}`"
            if _debian()
            else "install " + ("it" if len(missing) == 1 else "them")
        )
        raise MissingProgram(f"there is no {names}: {how}")
    update, install = apt_argvs(wanted)
    report(f"there is no {names}: installing with `{shlex.join(update)} && {shlex.join(install)}`, output in {log}")
    await _apt(update, log)
    await _apt(install, log)


async def _apt(argv: list[str], log: Path) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": path_with_sbin()}
    command = Command(argv[0], argv, env=env, output=log, stop_signal=signal.SIGINT, grace=_GRACE, death_signal=signal.SIGINT)
    if status := await run(command):
        raise InstallFailed(f"{shlex.join(argv)} ended with status {status}; the end of {log}:\n{last_lines(log)}")


def _debian() -> bool:
    return OS_RELEASE.exists() and is_debian_like(OS_RELEASE.read_text())


def _ours_to_install() -> bool:
    return _debian() and os.geteuid() == 0


def _has(program: str) -> bool:
    return shutil.which(program, path=path_with_sbin()) is not None
