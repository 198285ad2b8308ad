"""Caddy beside `up`: in the foreground as our child, told what to serve over its socket."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import probes
from gateway.embedded.children import Command

READY_SECONDS: Final = 20.0
MEMORY: Final = {"GOGC": "400", "GOMEMLIMIT": "256MiB"}
"""Collects garbage more seldom than Go does by itself, which is an eighth more requests a second, as long as there is little of it."""


@dataclass(frozen=True)
class Caddy:
    """Where its socket is, and where it keeps its certificates."""

    binary: Path
    runtime: Path
    """The runtime directory; the socket is in `caddy/` below it."""
    data: Path
    log: Path

    @property
    def socket(self) -> Path:
        """The unix socket of its admin API."""
        return self.runtime / "caddy" / "caddy.sock"

    def initialise(self) -> None:
        """Make its directories."""
        self.socket.parent.mkdir(mode=0o700)
        self.data.mkdir(mode=0o700, exist_ok=True)

    def command(self) -> Command:
        """Caddy in the foreground, with nothing to serve until it is told."""
        return Command("caddy", caddy_argv(self.binary), env=environment(self.socket, self.data), output=self.log, grace=15.0)

    async def clear(self) -> None:
        """Remove the socket that a killed one has left."""
        self.socket.unlink(missing_ok=True)

    async def answers(self) -> bool:
        """Whether its admin API answers."""
        return await probes.http_answers(self.socket, "/config/")


def caddy_argv(binary: Path) -> list[str]:
    """Caddy without a configuration file."""
    return [str(binary), "run"]


def environment(socket: Path, data: Path) -> Mapping[str, str]:
    """Everything that it reads of its environment."""
    return {"HOME": str(data), "XDG_DATA_HOME": str(data), "XDG_CONFIG_HOME": str(data), "CADDY_ADMIN": f"unix/{socket}|0600", **MEMORY}
