"""The command lines of a deployment: recorded while the product runs them, and run again by hand under names of their own."""

import asyncio
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from workers.desired import network_of
from workers.docker import choose
from workers.engine import Converged, Engine, Failed, convergence
from workers.rollout import POLL

CONVERGED_SECONDS = 120.0
REMOVED_SECONDS = 60.0
_SHIM = """#!/bin/sh
if [ -e {log} ]; then
    {{ printf '%s\\0' =argv "$@" =env; env -0; }} >> {log}
fi
exec {real} "$@"
"""


class NotReplayed(Exception):
    """By hand it did not work."""


@dataclass(frozen=True)
class Command:
    """One command line as the product ran it, and its environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]

    @property
    def step(self) -> str:
        """What it is for: `git`, `docker build`, `docker service update` …"""
        words = [word for word in self.argv[1:] if not word.startswith("-")]
        if Path(self.argv[0]).name == "git":
            return "git"
        return " ".join(["docker", *words[: 2 if words[0] in ("service", "network", "image", "buildx") else 1]])


@dataclass(frozen=True)
class Recorder:
    """A `git` and a `docker` that write down how they are called while `recording`, and become the real ones."""

    directory: Path
    git: str
    docker: str

    @classmethod
    async def create(cls, directory: Path) -> Self:
        """Make one in the new directory `directory`; its docker stands for the client that the worker would choose."""
        recorder = cls(directory, shutil.which("git") or "git", (await choose()).path)
        recorder.bin.mkdir(parents=True)
        for shim, real in ((recorder.bin / "git", recorder.git), (recorder.directory / "docker", recorder.docker)):
            shim.write_text(_SHIM.format(log=shlex.quote(str(shim.parent / f"{shim.name}.log")), real=shlex.quote(real)))
            shim.chmod(0o755)
        return recorder

    @property
    def bin(self) -> Path:
        """The directory to put before PATH, so that its git is called; the docker is to be named by DOKPLOY_DOCKER."""
        return self.directory / "bin"

    @contextmanager
    def recording(self, into: list[Command]) -> Iterator[None]:
        """Append what is called while the block lasts: git's command lines, then docker's."""
        logs = {self.bin / "git.log": self.git, self.directory / "docker.log": self.docker}
        for log in logs:
            log.touch()
        yield
        for log, real in logs.items():
            into += self._read(log.read_bytes(), real)
            log.unlink()

    def _read(self, text: bytes, real: str) -> Iterator[Command]:
        for record in text.decode().split("=argv\0")[1:]:
            argv, _, env = record.partition("=env\0")
            variables = dict(line.split("=", 1) for line in env.split("\0") if "=" in line)
            path = variables.get("PATH", "").replace(f"{self.bin}:", "")
            yield Command((real, *argv.split("\0")[:-1]), {**variables, "PATH": path})


@dataclass(frozen=True)
class Names:
    """What one deployment is called: everything in its command lines that another deployment has otherwise."""

    application: str
    project: str
    service: str
    port: int
    work: str
    deployment: str = ""
    sha: str = ""

    @classmethod
    def by_hand(cls, work: Path) -> Self:
        """Names for a service of one's own."""
        return cls(str(uuid4()), str(uuid4()), f"by-hand-{secrets.token_hex(4)}", free_port(), str(work))

    def next(self, sha: str) -> "Names":
        """The same service at its next deployment, of this commit."""
        return replace(self, deployment=str(uuid4()), sha=sha)

    @property
    def network(self) -> str:
        """The network of its project."""
        return network_of(UUID(self.project))

    @property
    def image(self) -> str:
        """The image of its deployment's first attempt."""
        return f"dokploy/{self.service}:{self.deployment}-1"

    def words(self) -> tuple[str, ...]:
        """How they stand in a command line."""
        return (
            self.work,
            self.deployment,
            self.sha,
            self.service,
            self.network,
            self.project,
            self.application,
            f"published={self.port},",
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def rewritten(commands: Sequence[Command], old: Names, new: Names) -> list[Command]:
    """The same command lines under other names."""
    table = dict(zip(old.words(), new.words(), strict=True))
    pattern = re.compile("|".join(re.escape(word) for word in sorted(table, key=len, reverse=True)))
    return [Command(tuple(pattern.sub(lambda found: table[found[0]], part) for part in command.argv), command.env) for command in commands]


@dataclass
class Timed:
    """How long a deployment took: altogether, and each step of it, in seconds."""

    total: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)

    def spent(self, step: str, seconds: float) -> None:
        """Add to a step."""
        self.steps[step] = self.steps.get(step, 0.0) + seconds


async def by_hand(engine: Engine, commands: Sequence[Command], names: Names) -> Timed:
    """Run a deployment's command lines one after the other, then watch the service just as the worker does."""
    timed, began = Timed(), time.monotonic()
    (Path(names.work) / f"{names.deployment}-1").mkdir(mode=0o700, parents=True)
    for command in commands:
        start = time.monotonic()
        await asyncio.to_thread(subprocess.run, command.argv, env=command.env, check=True, capture_output=True)
        timed.spent(command.step, time.monotonic() - start)
    start = time.monotonic()
    if not await until(lambda: _converged(engine, names), CONVERGED_SECONDS):
        raise NotReplayed(f"by hand {names.service} did not converge")
    timed.spent("convergence", time.monotonic() - start)
    timed.total = time.monotonic() - began
    return timed


async def _converged(engine: Engine, names: Names) -> bool:
    service = await engine.service(names.service) or {}
    tasks = await engine.tasks(names.service)
    state = convergence(service, tasks, image=names.image, deployment=names.deployment, replicas=1, now=datetime.now(UTC))
    if isinstance(state, Failed):
        raise NotReplayed(f"by hand: {state.code}: {state.reason}")
    return isinstance(state, Converged)


@asynccontextmanager
async def removed(docker: str, names: Names) -> AsyncIterator[None]:
    """At the end of the block remove the service, its images and its network, as far as they are still there."""
    label = f"label=dokploy.application={names.application}"
    try:
        yield
    finally:
        await _said(docker, "service", "rm", names.service)
        await until(lambda: _none(docker, "ps", "--all", "--quiet", "--filter", label), REMOVED_SECONDS)
        for image in (await _said(docker, "image", "ls", "--quiet", "--filter", label)).split():
            await _said(docker, "image", "rm", "--force", image)
        await until(lambda: _network_removed(docker, names.network), REMOVED_SECONDS)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Look again and again, as often as the worker looks at a rollout; whether it held in time."""
    ends = time.monotonic() + seconds
    while True:
        if await holds():
            return True
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(POLL)


async def _network_removed(docker: str, name: str) -> bool:
    await _said(docker, "network", "rm", name)
    return await _none(docker, "network", "ls", "--quiet", "--filter", f"name={name}")


async def _none(docker: str, *arguments: str) -> bool:
    return not await _said(docker, *arguments)


async def _said(docker: str, *arguments: str) -> str:
    done = await asyncio.to_thread(subprocess.run, [docker, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
