"""What the Docker Engine tells: fast reads from its API. Nothing here changes anything."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import aiodocker
import aiohttp

from workers.convergence import Converged, Converging, Failed, Task, convergence, read_task
from workers.processes import Lines, clean

__all__ = ["Converged", "Converging", "Engine", "EngineUnavailable", "Failed", "Task", "convergence", "has_ipvs"]

READ_DEADLINE: Final = 10.0
"""Seconds for one read."""
HEALTH_OUTPUTS: Final = 3
OUTSIDE: Final = "Engine is used outside its context."


class EngineUnavailable(Exception):
    """The Docker Engine cannot be reached."""

    code: ClassVar[str] = "DOCKER_UNAVAILABLE"


class Engine:
    """A connection to the Engine of DOCKER_HOST, else to the one on this machine. Every read raises EngineUnavailable.

    With `streams` it takes any number of reads that do not end.
    """

    def __init__(self, *, streams: bool = False) -> None:
        self._docker: aiodocker.Docker | None = None
        self._streams = streams

    async def __aenter__(self) -> Self:
        """Open the connection; nothing is asked yet."""
        timeout = aiohttp.ClientTimeout(total=READ_DEADLINE)
        self._docker = aiodocker.Docker(timeout=timeout)
        if self._streams:
            # Each stream holds a connection, and aiohttp makes no more than a hundred.
            self._docker.connector._limit = 0  # noqa: SLF001
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        if self._docker is not None:
            await self._docker.close()

    async def ping(self) -> bool:
        """Whether the Engine answers."""
        try:
            await self.info()
        except EngineUnavailable:
            return False
        return True

    async def manages(self) -> bool:
        """Whether it answers as a manager of its swarm, which takes some seconds after its start."""
        try:
            return bool((await self.info())["Swarm"].get("ControlAvailable")) and await self.services("dokploy.none") is not None
        except EngineUnavailable:
            return False

    async def info(self) -> dict[str, Any]:
        """The Engine and its machine; `["Swarm"]["LocalNodeState"]` is `active` on a node of a swarm."""
        async with self._reading() as docker:
            return dict(await docker.system.info())

    async def service(self, name: str) -> dict[str, Any] | None:
        """A service by its name, or None."""
        return await self._found(lambda docker: docker.services.inspect(name))

    async def services(self, label: str) -> list[dict[str, Any]]:
        """The services that have a label, `key` or `key=value`."""
        async with self._reading() as docker:
            return [dict(entry) for entry in await docker.services.list(filters={"label": [label]})]

    async def tasks(self, service_name: str) -> list[Task]:
        """The tasks of a service, also those that ended lately; none when there is no such service."""
        async with self._reading() as docker:
            try:
                entries = await docker.tasks.list(filters={"service": [service_name]})
            except aiodocker.DockerError as error:
                if error.status == 404:
                    return []
                raise
        return [read_task(entry) for entry in entries]

    async def all_tasks(self) -> dict[str, list[Task]]:
        """The tasks of all services, also those that ended lately, by the id of their service."""
        found: dict[str, list[Task]] = {}
        async with self._reading() as docker:
            for entry in await docker.tasks.list():
                found.setdefault(entry["ServiceID"], []).append(read_task(entry))
        return found

    async def image(self, reference: str) -> dict[str, Any] | None:
        """An image of this machine (`Id`, `RepoDigests`, `Config`), or None."""
        return await self._found(lambda docker: docker.images.inspect(reference))

    async def images(self, label: str) -> list[dict[str, Any]]:
        """The images of this machine that have a label."""
        async with self._reading() as docker:
            return [dict(entry) for entry in await docker.images.list(filters={"label": [label]})]

    async def image_names(self, pattern: str) -> dict[str, dict[str, str]]:
        """The names of this machine's images that match `repository:tag` with `*`, and the labels of each."""
        async with self._reading() as docker:
            entries = await docker.images.list(filters={"reference": [pattern]})
        return {name: dict(entry["Labels"] or {}) for entry in entries for name in entry["RepoTags"] or []}

    async def containers(self, label: str) -> list[dict[str, Any]]:
        """The containers of this machine that have a label, running or not (`Id`, `Name`, `ImageID`, `Labels`, `State`)."""
        async with self._reading() as docker:
            return [{**container} for container in await _containers(docker, label)]

    async def network(self, name: str) -> dict[str, Any] | None:
        """A network by its name or id, or None."""
        return await self._found(lambda docker: aiodocker.docker.DockerNetwork(docker, name).show())  # type: ignore[no-untyped-call]

    async def networks(self, label: str) -> list[dict[str, Any]]:
        """The networks that have a label."""
        async with self._reading() as docker:
            return [dict(entry) for entry in await docker.networks.list(filters={"label": [label]})]

    async def volume(self, name: str) -> dict[str, Any] | None:
        """A volume (`Labels`, `Options`), or None."""
        return await self._found(lambda docker: aiodocker.docker.DockerVolume(docker, name).show())  # type: ignore[no-untyped-call]

    async def volume_names(self, label: str) -> list[str]:
        """The names of the volumes of this machine that have a label."""
        async with self._reading() as docker:
            told = await docker.volumes.list(filters={"label": [label]})  # type: ignore[no-untyped-call]
        return [entry["Name"] for entry in told["Volumes"] or []]

    async def secret_names(self, label: str) -> list[str]:
        """The names of the secrets of Swarm that have a label."""
        async with self._reading() as docker:
            return [entry["Spec"]["Name"] for entry in await docker.secrets.list(filters={"label": [label]})]

    async def container_health(self, container_id: str) -> tuple[str, list[str]]:
        """What the health check says (`starting`, `healthy`, `unhealthy`, or `none`) and the last outputs of its command."""
        container = await self._found(lambda docker: docker.containers.container(container_id).show())
        health = ((container or {}).get("State") or {}).get("Health") or {}
        outputs = [clean(str(entry.get("Output") or "").strip().encode("utf-8", "replace")) for entry in health.get("Log") or []]
        return health.get("Status") or "none", [output for output in outputs if output][-HEALTH_OUTPUTS:]

    async def container_usage(self, container_id: str) -> dict[str, Any] | None:
        """What a container takes at this moment (`memory_stats`), or None.

        Engine 20.10 answers when it next counts, which it does once a second; without `one-shot` it would count twice. Of a container that
        is removed before that it answers with 200, and nothing.
        """
        path = f"containers/{container_id}/stats"
        return await self._found(lambda docker: docker._query_json(path, params={"stream": "0", "one-shot": "1"}))  # noqa: SLF001

    async def container_limits(self, container_id: str) -> tuple[int | None, float | None] | None:
        """What a container may take: bytes of memory and cores, each None without a limit; None of one that is gone."""
        found = await self._found(lambda docker: docker._query_json(f"containers/{container_id}/json"))  # noqa: SLF001
        if found is None:
            return None
        limits = found["HostConfig"]
        return limits.get("Memory") or None, (limits.get("NanoCpus") or 0) / 1e9 or None

    async def volume_usage(self, seconds: float) -> dict[str, int]:
        """Bytes of this machine's volumes by their names, which takes as long as looking at every file of each.

        Engines before 23 look through all images and containers, too, and refuse while somebody else has them do so.
        """
        async with self._reading(seconds) as docker:
            timeout = aiohttp.ClientTimeout(total=seconds)
            told = await docker._query_json("system/df", params={"type": "volume", "verbose": "1"}, timeout=timeout)  # noqa: SLF001
        entries = told.get("Volumes") or (told.get("VolumeUsage") or {}).get("Items") or []
        sizes = {entry["Name"]: int((entry.get("UsageData") or {}).get("Size", -1)) for entry in entries}
        return {name: size for name, size in sizes.items() if size >= 0}

    async def container_logs(self, container_id: str, tail: int = 50) -> list[str]:
        """The last lines a container has printed; none when it is gone."""
        async with self._reading() as docker:
            try:
                chunks = await docker.containers.container(container_id).log(stdout=True, stderr=True, tail=tail)
            except aiodocker.DockerError as error:
                if error.status in (404, 409):
                    return []
                raise
        lines = Lines()
        return (lines.feed("".join(chunks).encode("utf-8", "replace")) + lines.flush())[-tail:]

    async def follow_log(self, container_id: str, since: str = "") -> AsyncGenerator[bytes]:
        """What a container has printed from a time on (`2026-11-28T20:35:29.123456789Z`), and prints until it ends, in the Engine's frames.

        Each line begins with its time. Nothing when the container is gone. Raises EngineUnavailable.
        """
        params = {"follow": "1", "stdout": "1", "stderr": "1", "timestamps": "1", "since": _unix(since) if since else "0"}
        if self._docker is None:
            raise RuntimeError(OUTSIDE)
        try:
            async with self._docker._query(f"containers/{container_id}/logs", params=params, timeout=aiohttp.ClientTimeout()) as response:  # noqa: SLF001
                try:
                    async for data in response.content.iter_any():
                        yield data
                finally:
                    response.close()
        except aiodocker.DockerError as error:
            if error.status not in (404, 409):
                raise EngineUnavailable(f"The Docker Engine answered {error.status}: {error.message}") from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise EngineUnavailable(EngineUnavailable.__doc__) from None

    async def _found(self, read: Callable[[aiodocker.Docker], Awaitable[Any]]) -> dict[str, Any] | None:
        async with self._reading() as docker:
            try:
                found = await read(docker)
            except aiodocker.DockerError as error:
                if error.status == 404:
                    return None
                raise
        return None if found is None else dict(found)

    @contextlib.asynccontextmanager
    async def _reading(self, seconds: float = READ_DEADLINE) -> AsyncIterator[aiodocker.Docker]:
        if self._docker is None:
            raise RuntimeError(OUTSIDE)
        try:
            async with asyncio.timeout(seconds):
                yield self._docker
        except aiodocker.DockerError as error:
            raise EngineUnavailable(f"The Docker Engine answered {error.status}: {error.message}") from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise EngineUnavailable(EngineUnavailable.__doc__) from None


async def _containers(docker: aiodocker.Docker, label: str) -> list[dict[str, Any]]:
    found = await docker.containers.list(all=True, filters=json.dumps({"label": [label]}))
    shown = ("ImageID", "Labels", "State")
    return [{"Id": each.id, "Name": each["Names"][0].removeprefix("/")} | {key: each[key] for key in shown} for each in found]


def _unix(at: str) -> str:
    """A time of a log as the Engine takes it: whole seconds since 1970, and their fraction."""
    seconds, _, fraction = at.rstrip("Z").partition(".")
    return f"{int(datetime.fromisoformat(seconds + '+00:00').timestamp())}.{fraction or 0}"


def has_ipvs(proc: Path = Path("/proc")) -> bool:
    """Whether the kernel of this machine has IPVS loaded, which virtual addresses and the routing mesh of Swarm need."""
    if (proc / "net/ip_vs").exists():
        return True
    try:
        modules = (proc / "modules").read_text()
    except OSError:
        return False
    return any(line.startswith("ip_vs ") for line in modules.splitlines())
