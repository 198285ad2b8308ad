"""`dokploy test`: the whole suite, tier by tier, each said with its number of tests and the time it took."""

import asyncio
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded.engine import ensure_engine
from gateway.embedded.engine_install import install_programs
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.supervisor import Supervisor, say

ROOT: Final = Path(__file__).parents[2]
BYTECODE: Final = ROOT / ".dokploy" / "bytecode"
"""Where the tiers, and the processes that their tests start, keep what Python has compiled."""
CHECKS: Final = (("ruff check", ("ruff", "check", ".")), ("ruff format", ("ruff", "format", "--check", ".")), ("mypy", ("mypy",)))


@dataclass(frozen=True)
class Tier:
    """Tests by what they need, and the seconds they may take."""

    name: str
    marks: str
    budget: int


TIERS: Final = (
    Tier("no services", "not services and not docker and not faults and not clients", 60),
    Tier("embedded servers", "services and not docker and not faults and not clients", 240),
    Tier("Docker Engine", "docker and not faults and not clients", 600),
    Tier("faults", "faults and not clients", 600),
    Tier("outside clients", "clients", 240),
)
CLIENTS_NEED: Final = {
    "NODE.JS": {"node": "nodejs", "npm": "npm"},
    "CHROMIUM": {"chromium": "chromium"},
    "PEBBLE": {"pebble": "pebble"},
    "CURL": {"curl": "curl"},
    "SSH": {"ssh": "openssh-client"},
    "WRK": {"wrk": "wrk"},
}
"""The programs that the outside clients need, and clones over SSH, and their packages."""


async def run_tests(arguments: Sequence[str], *, full: bool) -> int:
    """Run the checks and every tier. The exit status: 0 when nothing failed, and under CI nothing was skipped either."""
    supervisor = Supervisor(say)
    passed = failed = 0
    try:
        await _engine(supervisor)
        await _programs()
        for name, argv in CHECKS:
            status, output = await captured((sys.executable, "-m", *argv))
            say(f"{name}: {'clean' if status == 0 else output}")
            failed += status != 0
        for tier in TIERS:
            count, wrong = await _run(tier, arguments, full=full)
            passed, failed = passed + count, failed + wrong
    finally:
        await supervisor.stop()
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return 1 if failed or not passed else 0


async def _engine(supervisor: Supervisor) -> None:
    """Bring the Docker Engine up; without one its tier fails under CI, and is skipped loudly elsewhere."""
    try:
        if engine := await ensure_engine(ROOT / ".dokploy" / "dockerd.log"):
            supervisor.add(engine)
    except EmbeddedError as error:
        say(f"NO DOCKER ENGINE: {error}")


async def _programs() -> None:
    """Install what the outside clients need; without it their tests fail under CI, and are skipped loudly elsewhere."""
    for name, programs in CLIENTS_NEED.items():
        try:
            await install_programs(programs, ROOT / ".dokploy" / "install.log", say)
        except EmbeddedError as error:
            say(f"NO {name}: {error}")


def environment() -> dict[str, str]:
    """Ours, in which Python keeps what it compiles even if ours says otherwise: hundreds of processes would compile the same again."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(BYTECODE)}


async def captured(argv: Sequence[str], *, echo: bool = False) -> tuple[int, str]:
    """Run a command in the project's directory; its status and what it printed, shown as it comes when `echo`."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    lines: list[str] = []
    if process.stdout is not None:
        async for line in process.stdout:
            lines.append(line.decode(errors="replace"))
            if echo:
                sys.stdout.write(lines[-1])
                sys.stdout.flush()
    return await process.wait(), "".join(lines)


async def _run(tier: Tier, arguments: Sequence[str], *, full: bool) -> tuple[int, int]:
    say(f"--- tier: {tier.name}")
    began = time.monotonic()
    extra = ("--full",) if full else ()
    status, output = await captured((sys.executable, "-m", "pytest", "-m", tier.marks, *extra, *arguments), echo=True)
    seconds = time.monotonic() - began
    closing = output.rstrip().rpartition("\n")[2]
    found = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", closing)}
    passed = found.get("passed", 0)
    wrong = found.get("failed", 0) + found.get("error", 0) + found.get("errors", 0)
    if os.environ.get("CI") == "true":
        wrong += found.get("skipped", 0)
    if status not in (0, 1, 5) or (status == 1 and not wrong):
        wrong += 1
    say(f"--- tier: {tier.name}: {passed} passed, {wrong} failed in {seconds:.0f} s (budget {tier.budget} s)")
    return passed, wrong
