"""Clients and judges from npm: each lives in a directory here, which pins its packages."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

INSTALL_SECONDS = 180.0
ANSWER_SECONDS = 30.0


async def ran(*argv: str | Path, at: Path, within: float, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must succeed. Raises TimeoutError."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, cwd=at, stdout=pipe, stderr=pipe, env={**os.environ, **(environment or {})})
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, f"{argv[0]}: {out.decode(errors='replace')}\n{err.decode(errors='replace')}"
    return out.decode()


async def _lacking(oldest: tuple[int, int], at: Path) -> str | None:
    """What this machine lacks to run npm's programs, as a sentence."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no Node.js with npm on this machine"
    version = (await ran("node", "--version", at=at, within=ANSWER_SECONDS)).strip()
    major, minor = map(int, version.removeprefix("v").split(".")[:2])
    if (major, minor) < oldest:
        return f"Node.js {'.'.join(map(str, oldest))} or newer is needed, and this machine has {version}"
    return None


async def install(directory: Path, oldest: tuple[int, int] = (20, 0)) -> None:
    """Bring the packages of a directory along; without Node.js the test fails under CI, and is skipped loudly elsewhere."""
    if lacking := await _lacking(oldest, directory):
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(f"NO NODE.JS: {lacking}; what comes from npm did not run")
    installed, wanted = directory / "node_modules" / ".package-lock.json", directory / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        await ran("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", at=directory, within=INSTALL_SECONDS)
