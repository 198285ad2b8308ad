"""A database's container without a network, for tests that need nothing but its engine."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from tests.docker.database_images import IMAGES
from tests.docker.datasets import DATABASE, USER
from workers import docker

PASSWORD: Final = "p'\"w d\\$é/@:%"
REDIS_CONFIGURATION: Final = "/run/secrets/redis.conf"
READY_SECONDS: Final = 60.0
SECONDS: Final = 60.0
DATA: Final = {"postgres": "/var/lib/postgresql/data", "mysql": "/var/lib/mysql", "redis": "/data", "mongo": "/data/db"}
ENVIRONMENT: Final = {
    "postgres": {"POSTGRES_USER": USER, "POSTGRES_DB": DATABASE, "POSTGRES_PASSWORD": PASSWORD},
    "mysql": {"MYSQL_USER": USER, "MYSQL_DATABASE": DATABASE, "MYSQL_PASSWORD": PASSWORD, "MYSQL_ROOT_PASSWORD": PASSWORD},
    "redis": {},
    "mongo": {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD": PASSWORD},
}
READY: Final = {
    "postgres": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", USER, "-d", DATABASE],
    "mysql": ["mysql", "-h127.0.0.1", "-uroot", "-e", "select 1"],
    "redis": ["sh", "-c", "redis-cli ping | grep -qx PONG"],
    # The shell takes a second of the processor's time: not before somebody listens on 27017.
    "mongo": ["sh", "-c", "grep -q ':6989 ' /proc/net/tcp && mongosh --quiet --eval 'quit(db.adminCommand(\"ping\").ok ? 0 : 1)'"],
}


class CommandFailed(Exception):
    """A command in a database's container did not succeed."""


async def run(*argv: str, environment: Mapping[str, str] | None = None, stdin: bytes = b"", within: float = SECONDS) -> bytes:
    """What a docker command prints. Raises CommandFailed and TimeoutError."""
    pipe = asyncio.subprocess.PIPE
    client = (await docker.choose()).path
    process = await asyncio.create_subprocess_exec(
        client, *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=docker.environment() | dict(environment or {})
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CommandFailed(f"{argv[:6]} ended with status {process.returncode}: {err[-2000:].decode(errors='replace')}")
    return out


@dataclass(frozen=True)
class Container:
    """The container, and the volume that it keeps its data in."""

    engine: str
    name: str

    async def execute(self, argv: Sequence[str], secrets: Mapping[str, str], stdin: bytes = b"") -> bytes:
        """What a command prints in the container. Raises CommandFailed."""
        names = [part for name in secrets for part in ("-e", name)]
        return await run("exec", "-i", *names, self.name, *argv, environment=secrets, stdin=stdin)

    async def stop(self) -> None:
        """Stop it in order."""
        await run("stop", "-t", "30", self.name)

    async def start(self) -> None:
        """Start it again, and wait until it answers."""
        await run("start", self.name)
        await self.ready()

    async def ready(self) -> None:
        """Wait until it answers. Raises CommandFailed with what it last said."""
        secrets = {"MYSQL_PWD": PASSWORD, "REDISCLI_AUTH": PASSWORD}
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    await self.execute(READY[self.engine], secrets)
                    return
                except CommandFailed:
                    if await run("inspect", "-f", "{{.State.Running}}", self.name) != b"true\n":
                        raise
                    await asyncio.sleep(0.1)


def _redis_configuration() -> bytes:
    """The configuration as an archive, with the owner and the mode that a secret of Swarm is given."""
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    text = f'requirepass "{quoted}"\nrepl-diskless-sync-delay 0\n'.encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(REDIS_CONFIGURATION[1:])
        entry.size, entry.mode, entry.uid, entry.gid = len(text), 0o400, 999, 999
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


@asynccontextmanager
async def database(engine: str, *arguments: str, image: str | None = None) -> AsyncIterator[Container]:
    """A new database that is ready; its container and its volume go with the block."""
    container = Container(engine, f"dokploy-test-{engine}-{token_hex(4)}")
    names = [part for name in ENVIRONMENT[engine] for part in ("-e", name)]
    options = ["--network", "none", "--name", container.name, "--volume", f"{container.name}:{DATA[engine]}", *names]
    if engine == "redis":
        arguments = ("redis-server", REDIS_CONFIGURATION, "--appendonly", "yes", "--dir", "/data", *arguments)
    try:
        await run("create", "--pull", "never", *options, image or IMAGES[engine], *arguments, environment=ENVIRONMENT[engine])
        if engine == "redis":
            await run("cp", "-", f"{container.name}:/", stdin=_redis_configuration())
        await run("start", container.name)
        await container.ready()
        yield container
    finally:
        await run("rm", "-f", "-v", container.name)
        await run("volume", "rm", "-f", container.name)
