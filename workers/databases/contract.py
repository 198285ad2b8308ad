"""What a database engine is: one frozen value, from which everything that is done with its servers follows.

A new engine is a module beside this one with one `Engine`, a line in `ENGINES`, and a member of `models.DatabaseType`; the tests take
it from there. An engine runs nothing: it says which commands are run in a server's container, by which words they fail, and what a
server says of itself. Secrets never stand in a command line: a command names the variables that hold them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote

from models import DatabaseType

SECRETS: Final = "/run/secrets"
"""Where Swarm puts the files of secrets in a container."""
SENTENCES: Final = {
    "BACKUP_DAMAGED": "The backup is damaged: it cannot be read to its end.",
    "BACKUP_TOO_NEW": "The backup is of a newer version than this database is.",
    "DATABASE_AUTH_FAILED": "The database does not take its password.",
    "DATABASE_UNREACHABLE": "The database's server does not answer.",
    "VOLUME_FULL": "The disk of the database is full.",
}
"""What the codes that several engines share mean."""
MIB: Final = 1 << 20
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[MGmg])[Bb]?")


@dataclass(frozen=True)
class Credentials:
    """By what a server is opened: the user that applications use, and for some engines an administrator beside it."""

    username: str
    password: str = field(repr=False)
    admin_password: str = field(repr=False)
    database: str

    def userinfo(self, password: str | None = None) -> str:
        """`user:password` as it stands in a URL."""
        return f"{quote(self.username, safe='')}:{quote(self.password, safe='') if password is None else password}"


@dataclass(frozen=True)
class Command:
    """What is run in a container. The values of `secrets` are in its environment and nowhere else."""

    argv: tuple[str, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: str = field(default="", repr=False)
    """What a command is told that takes no data; it may hold secrets, too."""


@dataclass(frozen=True)
class Setting:
    """A setting of the server by its name in the API, and what it may be: a number, a size like `256MB`, or one of some words."""

    name: str
    low: int = 0
    high: int = 0
    alias: str = ""
    """What the engine itself calls it, in the spelling of the API."""
    sized: bool = False
    """Whether it is given as a size; the limits are in MiB then."""
    share: float | None = None
    """The part of the memory limit that it may not exceed."""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a server is to be: by whom it is opened, its settings by their names in the API (sizes in MiB), and its memory in MiB."""

    credentials: Credentials
    configuration: Mapping[str, Any]
    memory: int

    def setting(self, name: str, default: Any) -> Any:
        """A setting, or what it is when nobody has set it."""
        return self.configuration.get(name, default)


@dataclass(frozen=True)
class Dump:
    """How what a server holds is written: the command prints it."""

    command: Command
    suffix: str
    """Of the file, without compression: `.sql`."""
    compresses: bool = False
    """Whether the command compresses by itself, when it was asked to; the suffix does not change then."""


class Damaged(Exception):
    """The backup is damaged: what was read back is not what a whole one looks like."""


class Inspection(Protocol):
    """Somebody who reads a backup from its beginning to its end, and knows in the end whether it is whole."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, decompressed. Raises `Damaged`."""

    def finish(self) -> None:
        """Say that there are no more. Raises `Damaged`."""


@dataclass(frozen=True)
class Swap:
    """A restore into a second database of the running server, which takes the place of the first in one moment.

    Until then the old data are as they were. `undo` leaves nothing of an attempt, and after `commit` nothing of the old data.
    """

    prepare: Callable[[Credentials], Command]
    users: Callable[[Credentials], Command]
    """Takes the backup, too: makes the users that something in it belongs to and that there are not, without a way to log in."""
    load: Callable[[Credentials], Command]
    commit: Callable[[Credentials], Command]
    undo: Callable[[Credentials], Command]


@dataclass(frozen=True)
class Replace:
    """A restore into a fresh volume that then takes the place of the old one, which until then is as it was.

    `copies`: whether the fresh volume begins as a copy of the old one, so that what is no part of a backup (users) stays.
    `write` is run on the volume before a server starts on it, `server` is that server, which nobody else can reach, `empty` and `load`
    are run in it. Either `write` or `load` takes the backup.
    """

    copies: bool
    server: tuple[str, ...]
    ready: Callable[[Credentials], Command]
    """Run by the server when it answers."""
    write: Command | None = None
    empty: Callable[[Credentials], Command] | None = None
    load: Callable[[Credentials, bool], Command] | None = None
    """Whether the backup is of another database comes second."""


@dataclass(frozen=True)
class Statistics:
    """What a server says of itself; None is what it does not know (yet)."""

    connections: int | None
    """Beside the one that asked."""
    queries: int | None
    """Since it was started."""
    cache_hit_rate: float | None
    """Of 1."""
    size: int | None
    """Bytes of its data."""


Ask = Callable[[], Awaitable[Statistics]]
Connect = Callable[[str, int, Credentials, float], AbstractAsyncContextManager[Ask]]
"""A connection that stays open, to an address, within so many seconds; each question is answered by the same one."""


@dataclass(frozen=True)
class Engine:
    """An engine of databases."""

    type: DatabaseType
    title: str
    image: str
    """The image's repository; the tag is the version."""
    versions: tuple[str, ...]
    """Those that may be chosen, the newest first."""
    port: int
    volume: Callable[[str], str]
    """Where the data of a version are in the container."""
    least_memory: int
    """MiB."""
    username: str
    """Of the user that applications use."""
    names: frozenset[str]
    """Names of databases that are its own."""
    settings: tuple[Setting, ...]
    files: Callable[[Credentials], Mapping[str, str]]
    """The files of secrets that its server reads, by their names below `SECRETS`."""
    environment: Callable[[Credentials], Mapping[str, str]]
    server: Callable[[Plan], tuple[str, ...]]
    """The arguments of the container."""
    ready: Callable[[Credentials], str]
    """A command for the shell in the container that succeeds once the server answers from outside, never while it is being made."""
    url: Callable[[Credentials, str, str], str]
    """The connection string: for which host, and what stands for the password."""
    dump: Callable[[Credentials, bool], Dump]
    """Whether it is to be compressed comes second."""
    verify: Command | None
    """Reads a backup to its end and fails when it is not whole; where there is none, `inspect` does the same."""
    inspect: Callable[[], Inspection] | None
    restore: Swap | Replace
    rotate: Callable[[Credentials, str], Command] | None
    """Gives a user another password; None where the files are all that it takes."""
    connect: Connect
    failures: tuple[tuple[str, str, str], ...]
    """What a failed command printed, as a pattern; the code of the error; and a sentence, empty for that of `SENTENCES`."""
    shared_memory: int = 0
    """MiB of /dev/shm."""
    stop_seconds: int = 60
    """What the server is given to write down what it holds."""
    ready_seconds: int = 2
    """How often it is asked whether it is ready."""
    uid: int = 999
    """As whom the server runs."""

    def explained(self, told: str) -> tuple[str, str] | None:
        """The code and the sentence for what a failed command has printed; None for what is not known."""
        for pattern, code, sentence in self.failures:
            if re.search(pattern, told):
                return code, sentence or SENTENCES[code]
        return None

    @property
    def limits(self) -> Mapping[str, Setting]:
        """Its settings by name."""
        return {each.name: each for each in self.settings}


def megabytes(value: Any) -> int | None:
    """A size like `256MB`, `256M`, `1GB` in MiB; None for what is none."""
    found = _SIZE.fullmatch(str(value).strip())
    if found is None:
        return None
    return int(found["number"]) * (1024 if found["unit"] in "gG" else 1) or None
