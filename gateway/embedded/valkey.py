"""The embedded Valkey: in the foreground as our child, on a unix socket only, in memory only."""

import os
import signal
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import probes
from gateway.embedded.accounts import Account
from gateway.embedded.children import Command
from gateway.embedded.directory import write_readable

READY_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Valkey:
    """One server: where its socket is, what runs it, and as whom."""

    runtime: Path
    """The runtime directory; the socket is in `valkey/` below it."""
    binary: Path
    account: Account | None
    log: Path

    @property
    def home(self) -> Path:
        """Its working directory, with the socket."""
        return self.runtime / "valkey"

    @property
    def socket(self) -> Path:
        """The unix socket."""
        return self.home / "valkey.sock"

    @property
    def url(self) -> str:
        """Its address as redis-py writes it."""
        return f"unix://{urllib.parse.quote(str(self.socket))}"

    def initialise(self) -> None:
        """Make its directory and its configuration file."""
        self.home.mkdir(mode=0o700)
        if self.account:
            os.chown(self.home, self.account.uid, self.account.gid)
        write_readable(self._configuration, configuration(settings(self.home, self.socket)))

    def command(self) -> Command:
        """The server in the foreground."""
        return Command(
            "valkey",
            server_argv(self.binary, self._configuration),
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd=self.home,
            account=self.account,
            output=self.log,
            stop_signal=signal.SIGTERM,
            grace=5.0,
        )

    async def answers(self) -> bool:
        """Whether it answers PING."""
        return await probes.valkey_answers(self.socket)

    @property
    def _configuration(self) -> Path:
        return self.runtime / "valkey.conf"


def server_argv(binary: Path, configuration_file: Path) -> list[str]:
    """The server with everything else in its configuration file."""
    return [str(binary), str(configuration_file)]


def settings(home: Path, socket: Path) -> Mapping[str, str]:
    """No TCP, no persistence, and an error rather than a forgotten job when memory is full."""
    return {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home),
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "maxclients": "1000",
        "daemonize": "no",
        "logfile": "",
    }


def configuration(settings: Mapping[str, str]) -> str:
    """The configuration file; every value is quoted, so that spaces, quotes and line breaks stay part of it."""
    return "".join(f"{name} {quoted(value)}\n" for name, value in settings.items())


def quoted(value: str) -> str:
    """`value` as one argument of a Valkey configuration line."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(character, character) for character in value) + '"'
