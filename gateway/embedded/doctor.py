"""`dokploy doctor`: each need of an installation, whether it is met, and the remedy where it is not."""

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded.children import Command, capture
from gateway.embedded.engine import address, answers, swarm_state
from gateway.embedded.engine_remains import Home
from models.database import AWAY, connected
from models.standing import heard

LEAST_FREE: Final = 5
"""GiB of disk."""


@dataclass(frozen=True)
class Finding:
    """What was found about one need."""

    need: str
    met: bool
    fact: str
    remedy: str = ""
    required: bool = True


async def _output(*argv: str) -> str:
    status, text = await capture(Command(argv[0], argv, env=dict(os.environ)))
    return text.strip() if status == 0 else ""


async def _engine() -> list[Finding]:
    engine = address(os.environ.get("DOCKER_HOST", ""), Home())
    if not await answers(engine):
        return [
            Finding("Docker Engine", False, "not reachable", "install docker.io and start it, or run `./dokploy up` as root"),
            Finding("Swarm", False, "not known without an engine", "bring the Docker Engine up first"),
        ]
    swarm = await swarm_state(engine)
    return [
        Finding("Docker Engine", True, "reachable"),
        Finding("Swarm", swarm == "active", swarm, "run `docker swarm init`; `./dokploy up` does it by itself"),
    ]


async def _client() -> list[Finding]:
    chosen = os.environ.get("DOKPLOY_DOCKER") or shutil.which("docker")
    if chosen is None:
        return [Finding("Docker client", False, "no docker on PATH", "install docker.io, or name a client in DOKPLOY_DOCKER")]
    told = await _output(sys.executable, "-m", "workers.choice")
    return [Finding("Docker client", bool(told), told or f"{chosen} does not answer", "name a working client in DOKPLOY_DOCKER")]


async def _git() -> Finding:
    version = await _output("git", "--version") if shutil.which("git") else ""
    return Finding("git", bool(version), version or "not found", "install git")


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free // 2**30
    return Finding("disk", free >= LEAST_FREE, f"{free} GiB free", f"free at least {LEAST_FREE} GiB for images and builds")


async def _ports() -> Finding:
    told = await _output(sys.executable, "-m", "workers.publishing")
    lossless = told.startswith("through the edge")
    remedy = "`./dokploy up` runs the edge by itself unless DOKPLOY_EDGE is off"
    return Finding("published ports", lossless, told or "not known", remedy, required=False)


async def _edges() -> list[Finding]:
    """What the edges say of themselves, when the database of DOKPLOY_DATABASE_URL can be asked."""
    try:
        async with connected(1, impatient=True):
            return [Finding(f"edge of {each.node}", each.is_well, each.fact, "see its log", required=False) for each in await heard()]
    except (*AWAY, OSError):
        return []


async def examine() -> int:
    """Print every finding. The exit status: 0 when each required need is met."""
    engine, client, git, ports, edges = await asyncio.gather(_engine(), _client(), _git(), _ports(), _edges())
    findings = [*engine, *client, git, _disk(Path.cwd()), ports, *edges]
    for finding in findings:
        mark = "ok  " if finding.met else "MISS" if finding.required else "note"
        sys.stdout.write(f"{mark}  {finding.need}: {finding.fact}\n")
        if not finding.met:
            sys.stdout.write(f"      remedy: {finding.remedy}\n")
    return 0 if all(finding.met for finding in findings if finding.required) else 1
