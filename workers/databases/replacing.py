"""A restore into a fresh volume, which then takes the place of the old one: until that moment the old data are as they were."""

from dataclasses import dataclass
from typing import Final

from tortoise.transactions import in_transaction

from models import Database, DatabaseRestore, TaskStatus
from workers import docker, docker_argv, processes
from workers.databases import surroundings
from workers.databases.artefacts import Artefact
from workers.databases.containers import LONGEST, Arrival, Container, DatabaseFailed, unframed
from workers.databases.contract import Command, Credentials, Engine, Replace
from workers.databases.credentials import credentials_of
from workers.databases.desired import DATABASE_LABEL, engine_of, image_of, labels_of
from workers.databases.hold import Hold
from workers.databases.room import FULL, no_room, roomy
from workers.databases.service import gone, ready, told, until
from workers.databases.streams import given
from workers.docker_argv import Standalone
from workers.journal import LeaseLost
from workers.runtime import Runtime
from workers.service_spec import Mount

Held = Hold[DatabaseRestore]

RESTORE_LABEL: Final = "dokploy.restore"
SERVER_SECONDS: Final = 300.0
"""For which the server on the fresh volume may take to answer."""
_COPY: Final = Command(("cp", "-a", "/from/.", "/to/"))


@dataclass(frozen=True)
class Replacing:
    """One restore of this kind."""

    held: Held
    strategy: Replace
    artefact: Artefact
    foreign: bool

    @property
    def database(self) -> Database:
        """The database whose data are replaced."""
        return self.held.database

    @property
    def engine(self) -> Engine:
        """Its engine."""
        return engine_of(self.database)

    @property
    def credentials(self) -> Credentials:
        """By what it is opened."""
        return credentials_of(self.database)

    @property
    def volume(self) -> str:
        """The fresh volume of this attempt."""
        return f"{self.database.service_name}-{self.held.row.id.hex[-12:]}-{self.held.row.epoch}"

    async def done(self) -> None:
        """Do it all. Raises `DatabaseFailed`, `DockerError`, `EngineUnavailable`, `StorageFailed`, and what `still_held` raises."""
        await forgotten(self.held)
        await surroundings.ensure_volume(self.held.runtime, self.database, self.volume)
        if self.strategy.copies:
            await self.held.step("copying")
            await gone(self.held.runtime, self.database)
            await self._once(_COPY, (Mount(self.database.volume, "/from", read_only=True), Mount(self.volume, "/to")))
        await self._loaded()
        await self.held.step("replacing")
        await gone(self.held.runtime, self.database)
        await self._moved()

    async def _loaded(self) -> None:
        meter = await self.held.step("loading")
        if (write := self.strategy.write) is not None:
            mounts = (Mount(self.volume, self.engine.volume(self.database.version)),)
            await given(lambda: self.artefact.chunks(meter), lambda descriptor: self._once(write, mounts, stdin=descriptor))
        server = await self._server()
        if self.strategy.empty is not None:
            await server.tell(self.strategy.empty(self.credentials))
        if (load := self.strategy.load) is not None:
            command = roomy(load(self.credentials, self.foreign), self.engine.volume(self.database.version))
            await given(lambda: self.artefact.chunks(meter), lambda descriptor: server.read(command, descriptor))
        client = self.held.runtime.docker
        await docker.run(docker_argv.stop_container(client, self.volume, self.engine.stop_seconds), deadline=self.engine.stop_seconds + 60)
        await docker.remove_container(client, server.id)

    async def _server(self) -> Container:
        """The server on the fresh volume, once it answers; it is called as the volume is."""
        runtime, strategy = self.held.runtime, self.strategy
        mounts = (Mount(self.volume, self.engine.volume(self.database.version)),)
        await docker.run(docker_argv.run_detached(runtime.docker, self.volume, self._standalone(mounts, strategy.server)))
        # By its name: an image can bring any label along.
        labelled = await runtime.engine.containers(f"{RESTORE_LABEL}={self.held.tag}")
        (found,) = [each["Id"] for each in labelled if each["Name"] == self.volume]
        server = Container(runtime, found, self.engine, self.credentials)

        async def look() -> bool:
            await self.held.still_held()
            return await server.answers(strategy.ready(self.credentials))

        try:
            await until(look, SERVER_SECONDS)
        except TimeoutError:
            raise DatabaseFailed("RESTORE_FAILED", "The server does not get ready on the restored data.") from None
        return server

    async def _once(self, command: Command, mounts: tuple[Mount, ...], stdin: int | None = None) -> None:
        """Run a command on volumes, which writes on the last of them. Raises `DatabaseFailed`."""
        client = self.held.runtime.docker
        argv = roomy(command, mounts[-1].target).argv
        entrypoint, *arguments = argv if stdin is None else unframed(argv)
        standalone = self._standalone(mounts, tuple(arguments), entrypoint)
        arrival = Arrival()
        ran = docker_argv.run_once(client, standalone, fed=stdin is not None)
        done = await processes.run(ran, env=docker.environment(), deadline=LONGEST, stdin=stdin, on_line=arrival.hear)
        if done.returncode:
            raise self._explained(done)
        if stdin is not None:
            arrival.check()

    def _explained(self, done: processes.Finished) -> DatabaseFailed:
        if FULL in done.tail:
            return DatabaseFailed(*no_room())
        told = "\n".join(done.tail)
        if "No space left" in told or "no space left" in told:
            return DatabaseFailed("VOLUME_FULL", "There is no room for a second copy of the data.")
        found = self.engine.explained(told)
        return DatabaseFailed(*found) if found else DatabaseFailed("RESTORE_FAILED", "The data could not be written into a fresh volume.")

    def _standalone(self, mounts: tuple[Mount, ...], arguments: tuple[str, ...], entrypoint: str | None = None) -> Standalone:
        database = self.database
        labels = {**labels_of(database, self.held.runtime.installation), RESTORE_LABEL: self.held.tag}
        return Standalone(image_of(database), labels, mounts, arguments, entrypoint, database.memory_limit, self.engine.stop_seconds)

    async def _moved(self) -> None:
        """Give the service the fresh volume; the old one is kept until the restore is complete, and given back when it is not."""
        await self.held.still_held()
        held = {"id": self.held.row.id, "epoch": self.held.row.epoch, "worker": self.held.runtime.name, "status": TaskStatus.running}
        async with in_transaction():
            await Database.filter(id=self.database.id).select_for_update().first()
            if not await DatabaseRestore.filter(**held).update(volume=self.database.volume):
                raise LeaseLost
            await Database.filter(id=self.database.id).update(volume=self.volume)
        self.database.volume = self.volume
        revision = await told(self.held.runtime, self.database, self.held.still_held)
        if not self.database.stopped:
            await ready(self.held.runtime, self.database, revision)


async def forgotten(held: Held) -> None:
    """Remove what attempts at this restore have left: their containers, and their volumes but for one that is in use by now."""
    await remove_servers(held.runtime, held.database)
    row = await Database.get(id=held.database.id)
    for name in await held.runtime.engine.volume_names(f"{DATABASE_LABEL}={row.id}"):
        if f"-{held.row.id.hex[-12:]}-" in name and name not in (row.volume, held.row.volume):
            await docker.remove_volume(held.runtime.docker, name)


async def remove_servers(runtime: Runtime, database: Database) -> None:
    """Remove the containers that restores of a database have started beside its service."""
    for container in await runtime.engine.containers(f"{DATABASE_LABEL}={database.id}"):
        if RESTORE_LABEL in container["Labels"]:
            await docker.remove_container(runtime.docker, container["Id"])
