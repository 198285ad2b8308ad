"""The containers of databases: which one runs, and what is run in it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from models import Database
from workers import docker, docker_argv, processes
from workers.databases.contract import Command, Credentials, Engine
from workers.databases.desired import engine_of
from workers.databases.room import FULL, no_room
from workers.runtime import Runtime

COMMAND_SECONDS: Final = 120.0
"""For a command that only tells a server something."""
LONGEST: Final = 24 * 3600.0
"""Seconds that data may take to pass; a lease that is not renewed, or a cancellation, ends it sooner."""

_ENGINE_FAILURES: Final = (
    (r"is not running|No such container|container \S+ is restarting", "DATABASE_STOPPED", "The database does not run."),
    (r"Cannot connect to the Docker daemon|error during connect", "DOCKER_UNAVAILABLE", "The Docker Engine cannot be reached."),
    (r"executable file not found", "TOOL_MISSING", "The image of the database lacks its tools."),
)
KILLED: Final = (126, 137, 143)
"""What a command ends with whose container has ended, or was ending when it began."""
UNFRAMED: Final = """
{ while IFS= read -r size; do
    if [ "$size" != 0 ] && dd bs="$size" count=1 iflag=fullblock 2>/dev/null; then continue; fi
    echo DOKPLOY-END >&2
    break
done; } | "$@"
"""
"""Takes what `workers.databases.streams.given` gives out of its frames, for a command; says on its stderr that all of it has come, or as
much as the command wanted."""
END: Final = "DOKPLOY-END"


class DatabaseFailed(Exception):
    """What was asked of a database has failed: a code, and a sentence without any of its data."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Container:
    """A container in which an engine's server runs."""

    runtime: Runtime
    id: str
    engine: Engine
    credentials: Credentials

    async def tell(self, command: Command, seconds: float = COMMAND_SECONDS) -> None:
        """Run a command that takes and gives no data. Raises `DatabaseFailed`."""
        await self._run(command, seconds, stdin=command.stdin.encode() if command.stdin else None)

    async def written(self, command: Command, stdout: int) -> None:
        """Run a command that writes data into a file descriptor. Raises `DatabaseFailed`."""
        await self._run(command, LONGEST, stdout=stdout)

    async def read(self, command: Command, stdin: int) -> None:
        """Run a command that reads the data of `given` from a file descriptor. Raises `DatabaseFailed`."""
        arrival = Arrival()
        await self._run(replace(command, argv=unframed(command.argv)), LONGEST, stdin=stdin, on_line=arrival.hear)
        arrival.check()

    async def answers(self, command: Command) -> bool:
        """Whether a command succeeds."""
        try:
            await self.tell(command, 10.0)
        except DatabaseFailed:
            return False
        return True

    async def _run(
        self,
        command: Command,
        seconds: float,
        *,
        stdin: bytes | int | None = None,
        stdout: int | None = None,
        on_line: processes.OnLine | None = None,
    ) -> None:
        client = self.runtime.docker
        argv = docker_argv.execute(client, self.id, command.argv, command.secrets, fed=stdin is not None)
        environment = docker.environment() | dict(command.secrets)
        try:
            done = await processes.run(argv, env=environment, deadline=seconds, stdin=stdin, stdout=stdout, on_line=on_line)
        except processes.DeadlineExceeded:
            raise DatabaseFailed("TIMED_OUT", f"{self._named(command)} took longer than {seconds:.0f} seconds.") from None
        if done.returncode:
            raise self._explained(command, done)

    def _explained(self, command: Command, done: processes.Finished) -> DatabaseFailed:
        """What a failed command printed, without any of it: it may hold the password, or somebody's data."""
        if FULL in done.tail:
            return DatabaseFailed(*no_room())
        told = "\n".join(done.tail)
        for pattern, code, sentence in _ENGINE_FAILURES:
            if re.search(pattern, told):
                return DatabaseFailed(code, sentence)
        if (found := self.engine.explained(told)) is not None:
            return DatabaseFailed(*found)
        if done.returncode in KILLED:
            return DatabaseFailed("CONTAINER_LOST", f"The container ended while {self._named(command)} ran.")
        return DatabaseFailed("COMMAND_FAILED", f"{self._named(command)} failed with status {done.returncode}.")

    def _named(self, command: Command) -> str:
        """What a command is called, of a script the first of our tools in it."""
        words = " ".join(command.argv)
        found = re.search(
            r"\b(?:pg_dump|pg_restore|psql|mysqldump|mysql|redis-cli|redis-check-rdb|mongodump|mongorestore|mongosh)\b", words
        )
        return found[0] if found else command.argv[0]


def unframed(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line that gives a command the data without their frames."""
    return ("sh", "-c", UNFRAMED, "sh", *argv)


class Arrival:
    """Hears whether all data have come to a command that takes them out of their frames."""

    def __init__(self) -> None:
        self._whole = False

    def hear(self, stream: processes.Stream, line: str) -> None:
        """Take a line that it prints."""
        self._whole = self._whole or line == END

    def check(self) -> None:
        """Raise `DatabaseFailed` when they have not."""
        if not self._whole:
            raise DatabaseFailed("TRANSFER_CUT", "The data have not come into the container whole.")


async def running(runtime: Runtime, database: Database, credentials: Credentials) -> Container:
    """The container of a database that runs now. Raises `DatabaseFailed` and `EngineUnavailable`."""
    for task in await runtime.engine.tasks(database.service_name):
        if task.state == "running" and task.wanted and task.container_id:
            return Container(runtime, task.container_id, engine_of(database), credentials)
    raise DatabaseFailed("DATABASE_STOPPED", "The database does not run.")
