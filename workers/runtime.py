"""What the stages of one worker process share: who it is, its Docker client, its Engine connection, where it works."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from models.settings import settings
from workers.docker import Client
from workers.engine import Engine
from workers.publishing import Publishing


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"


@dataclass
class Runtime:
    """One worker process."""

    docker: Client
    engine: Engine
    publishing: Publishing
    """How ports are published."""
    installation: str = ""
    """The id of this installation, which is on everything that it makes."""
    name: str = field(default_factory=_name)
    stopping: bool = False

    @property
    def work(self) -> Path:
        """The directory of the work directories."""
        return settings().data.resolve() / "work"
