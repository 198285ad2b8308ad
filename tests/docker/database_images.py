"""The stand-ins for the official database images, made when they are missing; tests/dbimages/README.md says what they are."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from workers import docker, processes

BUILD: Final = Path(__file__).parents[1] / "dbimages" / "build.sh"
BUILD_SECONDS: Final = 900.0
IMAGES: Final = {
    "postgres": "dokploy-test/postgres:16",
    "postgres17": "dokploy-test/postgres:17",
    "postgres18": "dokploy-test/postgres:18",
    "mysql": "dokploy-test/mysql:8",
    "redis": "dokploy-test/redis:7",
    "mongo": "dokploy-test/mongo:7",
}
ENGINES: Final = ("postgres", "mysql", "redis", "mongo")


class NoImages(Exception):
    """The database images could not be made."""


def lacking() -> str | None:
    """What this machine lacks to make images, as a sentence."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "the database images are made of Debian's packages, and there is no apt-get here"
    if os.geteuid() != 0:
        return "making the database images takes root"
    return None


async def ensure_database_images(*engines: str) -> dict[str, str]:
    """Make those images that are missing or were made of other inputs; the names of `engines`, by default of one each. Raises NoImages."""
    wanted = engines or ENGINES
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))
    environment = {**os.environ, "DOCKER": (await docker.choose()).path, "PYTHON": sys.executable} | ({"UV": uv} if uv else {})
    descriptor, name = tempfile.mkstemp(prefix="dokploy-dbimages-", suffix=".log")
    os.close(descriptor)
    log = Path(name)
    with log.open("w", encoding="utf-8") as file:
        argv = ["sh", str(BUILD), *wanted]
        done = await processes.run(argv, env=environment, deadline=BUILD_SECONDS, on_line=lambda _, line: file.write(f"{line}\n") and None)
    if done.returncode:
        raise NoImages(f"`{' '.join(argv)}` ended with status {done.returncode}; the end of {log}:\n" + "\n".join(done.tail[-8:]))
    log.unlink()
    return {engine: IMAGES[engine] for engine in wanted}
