"""Running clients from outside the project: npm packages and the programs that they need."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

OLDEST_NODE = (20, 19)
VERSION_SECONDS = 30.0
INSTALL_SECONDS = 120.0


async def ran(*argv: str | Path, cwd: Path, within: float, environment: Mapping[str, str] | None = None) -> list[str]:
    """The lines that a command prints; it must succeed. Raises TimeoutError."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, stdout=pipe, stderr=pipe, env={**os.environ, **(environment or {})})
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, f"{argv[0]}: {(out + err).decode(errors='replace')}"
    return out.decode().splitlines()


async def lacking() -> str | None:
    """What this machine lacks to run npm packages, as a sentence."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no Node.js with npm on this machine"
    (version,) = await ran("node", "--version", cwd=Path.cwd(), within=VERSION_SECONDS)
    major, minor, _ = version.removeprefix("v").split(".")
    if (int(major), int(minor)) < OLDEST_NODE:
        return f"Node.js {'.'.join(map(str, OLDEST_NODE))} or newer is needed, and this machine has {version}"
    return None


def unavailable(sentence: str) -> NoReturn:
    """Skip the tests of a client that cannot run here, loudly; under CI they fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(f"{sentence}; these tests did not run")


async def ready(client: Path) -> None:
    """Have a client's npm packages, or skip its tests where they cannot be run."""
    if sentence := await lacking():
        unavailable(f"NO NODE.JS: {sentence}")
    await installed(client)


async def installed(client: Path) -> None:
    """Install a client's npm packages as its lock file says, unless they are there."""
    there, wanted = client / "node_modules" / ".package-lock.json", client / "package-lock.json"
    if not there.exists() or there.stat().st_mtime < wanted.stat().st_mtime:
        await ran("npm", "ci", "--no-audit", "--no-fund", cwd=client, within=INSTALL_SECONDS)
