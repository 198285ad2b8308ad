"""The embedded Postgres: `initdb` once, then `postgres` in the foreground as our child, on a unix socket only."""

import os
import shutil
import signal
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import probes, processes
from gateway.embedded.accounts import Account, ourselves
from gateway.embedded.children import Command, last_lines, run
from gateway.embedded.directory import recorded, write_readable
from gateway.embedded.errors import EmbeddedError

DATABASE: Final = "dokploy"
SUPERUSER: Final = "postgres"
READY_SECONDS: Final = 120.0
"""Recovery after a crash may have to replay much."""
LEAVE_SECONDS: Final = 6.0
"""How long processes of a dead postmaster may take to notice; its own limit for an immediate shutdown is 5 s."""

SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "io_method": "sync",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_SINCE_18: Final = frozenset({"io_method"})

BOOTSTRAP: Final = f"CREATE ROLE {DATABASE} LOGIN;\nCREATE DATABASE {DATABASE} OWNER {DATABASE};\n".encode()


class InitFailed(EmbeddedError):
    """The database could not be made."""


@dataclass(frozen=True)
class Postgres:
    """One server: where its data and socket are, what runs it, and as whom."""

    data: Path
    runtime: Path
    """The runtime directory; the socket is in `postgres/` below it."""
    binaries: Path
    version: int
    account: Account | None
    log: Path

    @property
    def sockets(self) -> Path:
        """Directory of the unix socket."""
        return self.runtime / "postgres"

    @property
    def url(self) -> str:
        """The database, as a libpq URL."""
        return url_of(self.sockets)

    async def initialise(self) -> None:
        """Make the socket directory, the access rules and, the first time, the database. Raises `InitFailed`."""
        self._make(self.sockets)
        write_readable(self.runtime / "pg_hba.conf", f"local all all peer map={DATABASE}\n")
        write_readable(self.runtime / "pg_ident.conf", identities(ourselves().name))
        if not self.data.exists():
            await self._make_database()

    def command(self) -> Command:
        """The server in the foreground. Stops by a fast shutdown; when we die, by an immediate one."""
        argv = server_argv(self.binaries, self._data_argument(self.data), self.runtime, self.sockets, self.version)
        return self._command("postgres", argv, self.data, grace=20.0)

    async def answers(self) -> bool:
        """Whether our role is let into our database."""
        return await probes.postgres_answers(self.sockets / ".s.PGSQL.5432", DATABASE, DATABASE)

    async def clear(self) -> None:
        """Before a start: wait for what a dead server left running, then remove its lock files.

        Postgres itself trusts a stale lock file whose process id meanwhile belongs to another process of the same user. We hold the
        data directory, so whoever still works in it is an orphan of ours.
        """
        await _vacate(self.data)
        for lock in (self.data / "postmaster.pid", self.sockets / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)

    async def _make_database(self) -> None:
        """In a sibling that is renamed at the end: a killed initdb leaves nothing that looks like a database."""
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        if unfinished.exists():
            await _vacate(unfinished)
            shutil.rmtree(unfinished)
        self._make(unfinished)
        await self._must(initdb_argv(self.binaries, self._data_argument(unfinished), self.version), unfinished)
        await self._must(single_argv(self.binaries, self._data_argument(unfinished)), unfinished, BOOTSTRAP)
        unfinished.rename(self.data)
        _sync(self.data.parent)

    async def _must(self, argv: Sequence[str], data: Path, stdin: bytes = b"") -> None:
        command = self._command(Path(argv[0]).name, argv, data, grace=5.0)
        if status := await run(command, stdin):
            raise InitFailed(f"{command.name} ended with status {status}; the end of {self.log}:\n{last_lines(self.log)}")

    def _command(self, name: str, argv: Sequence[str], data: Path, grace: float) -> Command:
        return Command(
            name,
            argv,
            # Not ours: PGDATA, PGOPTIONS or a locale of the caller's would reach the server.
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd=data,
            account=self.account,
            output=self.log,
            stop_signal=signal.SIGINT,
            grace=grace,
            death_signal=signal.SIGQUIT,
        )

    def _data_argument(self, data: Path) -> str:
        """How the server is told where its data is.

        Another user may be unable to reach it by its path, whose parents' modes are not ours to change. But root starts the process
        *in* the directory, Postgres never leaves it, and this name needs no parent.
        """
        return "/proc/self/cwd" if self.account else str(data)

    def _make(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        if self.account:
            os.chown(directory, self.account.uid, self.account.gid)


def url_of(sockets: Path) -> str:
    """The database whose server has its socket in a directory, as a libpq URL."""
    return f"postgresql://{DATABASE}@/{DATABASE}?host={urllib.parse.quote(str(sockets))}"


def running_url(data: Path) -> str | None:
    """The database of whoever runs on a data directory; None when it has a database elsewhere."""
    found = [each / "postgres" for each in recorded(data) if (each / "postgres" / ".s.PGSQL.5432").exists()]
    return url_of(found[-1]) if found else None


def initdb_argv(binaries: Path, data: str, version: int) -> list[str]:
    """Make a cluster in UTF-8 that sorts the same on every machine and lets in only whom the operating system vouches for."""
    argv = [str(binaries / "initdb"), "-D", data, "--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8", "--no-instructions"]
    builtin = ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"] if version >= 17 else []
    return [*argv, "--locale", "C", *builtin]


def single_argv(binaries: Path, data: str) -> list[str]:
    """Run statements from standard input without a server; the first that fails ends it with a status."""
    return [str(binaries / "postgres"), "--single", "-D", data, "-c", "exit_on_error=on", "postgres"]


def server_argv(binaries: Path, data: str, runtime: Path, sockets: Path, version: int) -> list[str]:
    """The server in the foreground; what people put into `postgresql.conf` holds where we set nothing."""
    ours = {
        **{name: value for name, value in SETTINGS.items() if version >= 18 or name not in _SINCE_18},
        "unix_socket_directories": f'"{sockets}"',
        "hba_file": str(runtime / "pg_hba.conf"),
        "ident_file": str(runtime / "pg_ident.conf"),
    }
    return [str(binaries / "postgres"), "-D", data, *(part for name, value in ours.items() for part in ("-c", f"{name}={value}"))]


def identities(user: str) -> str:
    """The `pg_ident.conf` that lets the operating-system user be our role and, for repairs, the superuser."""
    quoted = '"' + user.replace('"', '""') + '"'
    return "".join(f"{DATABASE} {quoted} {role}\n" for role in (DATABASE, SUPERUSER))


async def _vacate(data: Path) -> None:
    """Wait until no process of ours works in `data`; kill those that stay."""

    def orphans() -> list[processes.Process]:
        return [each for each in processes.running() if each.name in {"postgres", "initdb"} and each.cwd == str(data.resolve())]

    if not await processes.gone(orphans, LEAVE_SECONDS):
        processes.kill(orphans())
        await processes.gone(orphans, LEAVE_SECONDS)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
