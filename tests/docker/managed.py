"""A database that a test has the platform run: what the API says of it, and what is in it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.docker.datasets import DATASETS, Dataset, Mongo
from tests.docker.installation import Installation, eventually
from workers import docker

VERSIONS: Final = {"postgresql": "16", "mysql": "8", "mongodb": "7", "redis": "7"}
_SETS: Final = {"postgresql": "postgres", "mysql": "mysql", "mongodb": "mongo", "redis": "redis"}
_SETTLED: Final = ("running", "stopped", "error")
ENDED: Final = ("completed", "failed", "cancelled")


@dataclass
class Managed:
    """A database and what runs of it."""

    installation: Installation
    type: str
    id: str
    project: str
    service_name: str
    seconds: dict[str, float] = field(default_factory=dict)
    """How long what was waited for has taken."""

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/databases/{self.id}"

    async def shown(self) -> dict[str, Any]:
        """What the API says of it."""
        answer: dict[str, Any] = (await self.installation.owner.get(self.path)).json()
        return answer

    async def post(self, action: str, **body: Any) -> dict[str, Any]:
        """One of its actions."""
        return await self.installation.owner.made(f"{self.path}/{action}", body)

    async def settled(self, status: str = "running", within: float = 120) -> dict[str, Any]:
        """The database, once nothing is wished of it any more."""

        async def look() -> dict[str, Any] | None:
            granted = "select wished = granted from database where id = $1"
            if not await self.installation.database.fetchval(granted, self.id):
                return None
            shown = await self.shown()
            return shown if shown["status"] in _SETTLED else None

        shown = await eventually(look, within)
        assert shown["status"] == status, shown["errorMessage"]
        return shown

    def timed(self, what: str) -> "_Timed":
        """Remember how long a block takes."""
        return _Timed(self.seconds, what)

    async def reached(self, kind: str, id: str, step: str) -> None:
        """Wait until a backup or a restore is in a step."""

        async def look() -> bool:
            row = await self.installation.database.fetchrow(f"select status, step from database_{kind} where id = $1", id)
            assert row["status"] in ("pending", "running"), "it was over before it could be disturbed"
            return bool(row["step"] == step)

        await eventually(look, within=60, every=0.005)

    async def ended(self, kind: str, id: str, within: float = 120) -> dict[str, Any]:
        """A backup or a restore, once it has ended."""

        async def look() -> dict[str, Any] | None:
            shown: dict[str, Any] = (await self.installation.owner.get(f"{self.path}/{kind}/{id}")).json()
            return shown if shown["status"] in ENDED else None

        return await eventually(look, within)

    async def backed_up(self, **body: Any) -> dict[str, Any]:
        """A backup that is complete."""
        with self.timed("back up"):
            backup = await self.ended("backups", (await self.post("backup", **body))["backupId"])
        assert backup["status"] == "completed", (backup["errorCode"], backup["errorMessage"])
        return backup

    async def restore(self, backup: str, **body: Any) -> dict[str, Any]:
        """A restore into itself, once it has ended."""
        begun = await self.post(f"backups/{backup}/restore", **body)
        with self.timed("restore"):
            return await self.ended("restores", begun["id"])

    async def restored(self, backup: str, **body: Any) -> dict[str, Any]:
        """A restore that is complete, and the database in use again."""
        restore = await self.restore(backup, **body)
        assert restore["status"] == "completed", (restore["errorCode"], restore["errorMessage"])
        await self.settled()
        return restore

    async def uploaded(self, content: bytes) -> httpx2.Response:
        """What the API answers to the upload of a backup."""
        owner = self.installation.owner
        headers = {"Content-Type": "application/octet-stream", "Authorization": f"Bearer {owner.token}"}
        return await owner.client.post(f"/api{self.path}/backups/upload", content=content, headers=headers)

    async def volume(self) -> Path:
        """Where its volume is."""
        name = await self.installation.database.fetchval("select volume from database where id = $1", self.id)
        return Path((await self.installation.engine.volume(name) or {})["Mountpoint"])

    async def backups(self) -> Path:
        """Where the local storage has its backups."""
        installation = str(await self.installation.database.fetchval("select id from installation"))
        return self.installation.stack.directory.path / "backups" / installation / self.id

    async def stored(self, backup: str) -> Path:
        """The file of a backup."""
        (path,) = [path for path in (await self.backups()).iterdir() if path.name.startswith(backup)]
        return path

    async def container(self) -> str:
        """The id of its container."""

        async def look() -> str | None:
            tasks = await self.installation.engine.tasks(self.service_name)
            return next((task.container_id for task in tasks if task.state == "running" and task.wanted), None)

        return str(await eventually(look))

    async def credentials(self) -> dict[str, Any]:
        """By what it is opened, as the API says."""
        answer: dict[str, Any] = (await self.installation.owner.get(f"{self.path}/credentials")).json()
        return answer

    async def dataset(self) -> Dataset:
        """Its data set, reached by the password of now."""
        credentials = await self.credentials()
        password = credentials["password"]
        if self.type == "mysql":
            password = (await self.execute(["cat", "/run/secrets/root-password"], {}, b"")).decode()
        make = partial(Mongo, username="app") if self.type == "mongodb" else DATASETS[_SETS[self.type]]
        return make(self.execute, password, credentials["database"])

    async def execute(self, argv: Sequence[str], secrets: Mapping[str, str], stdin: bytes) -> bytes:
        """What a command in its container prints."""
        names = [part for name in secrets for part in ("--env", name)]
        command = [self.installation.docker.path, "exec", "-i", *names, await self.container(), *argv]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=docker.environment() | dict(secrets)
        )
        printed, said = await process.communicate(stdin)
        assert process.returncode == 0, said[-2000:].decode(errors="replace")
        return printed

    async def delete(self) -> None:
        """Delete it with everything, unless that has been done."""
        answer = await self.installation.owner.delete(f"{self.path}?deleteVolumes=true&deleteBackups=true")
        assert answer.status_code in (204, 404), answer.text

    async def forgotten(self) -> bool:
        """Whether the workers are through with its removal."""
        return await self.installation.database.fetchval("select 1 from database where id = $1", self.id) is None

    async def remains(self) -> list[str]:
        """What is left of it in Docker."""
        engine, label = self.installation.engine, f"dokploy.database={self.id}"
        services = [entry["Spec"]["Name"] for entry in await engine.services(label)]
        containers = [entry["Id"] for entry in await engine.containers(label)]
        return [*services, *containers, *await engine.volume_names(label), *await engine.secret_names(label)]


@dataclass
class _Timed:
    seconds: dict[str, float]
    what: str
    began: float = 0.0

    def __enter__(self) -> None:
        self.began = asyncio.get_running_loop().time()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.what] = round(asyncio.get_running_loop().time() - self.began, 1)
