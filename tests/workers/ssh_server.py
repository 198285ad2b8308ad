"""An SSH server on a loopback port for the tests, which knows one key and serves repositories by git's own program."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from tests.workers.git_server import GIT_ENV


@dataclass
class SshServer:
    root: Path
    port: int
    authorized: list[str]
    """The public keys that it lets in."""

    def url(self, name: str) -> str:
        return f"ssh://git@127.0.0.1:{self.port}/{name}"


class _Door(asyncssh.SSHServer):
    def __init__(self, authorized: list[str]) -> None:
        self._authorized = authorized

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = [asyncssh.import_public_key(each).public_data for each in self._authorized]
        return username == "git" and key.public_data in known


async def _passed(stdin: asyncssh.SSHReader[bytes], into: asyncio.StreamWriter) -> None:
    while block := await stdin.read(65536):
        into.write(block)
        await into.drain()


@asynccontextmanager
async def ssh_server(root: Path, port: int = 0) -> AsyncIterator[SshServer]:
    """Serve the repositories below a directory, under a host key that is new."""
    found = SshServer(root, port, [])

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        program, name = shlex.split(process.command or "")
        assert program == "git-upload-pack"
        pipe = asyncio.subprocess.PIPE
        served = await asyncio.create_subprocess_exec(program, str(root / name.lstrip("/")), env=GIT_ENV, stdin=pipe, stdout=pipe)
        assert served.stdin is not None
        assert served.stdout is not None
        asking = asyncio.create_task(_passed(process.stdin, served.stdin))
        while block := await served.stdout.read(65536):
            process.stdout.write(block)
        asking.cancel()
        process.exit(await served.wait())

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(
        lambda: _Door(found.authorized), "127.0.0.1", port, server_host_keys=[host_key], process_factory=handle, encoding=None
    )
    found.port = server.get_port()
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
