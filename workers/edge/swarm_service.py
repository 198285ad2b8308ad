"""Caddy as a Swarm service on every node (`DOKPLOY_EDGE=service`): made by the edge's process, which it outlives."""

import asyncio
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from workers import docker
from workers.convergence import Task
from workers.docker_argv import Client
from workers.edge.image import build
from workers.engine import Engine, EngineUnavailable

log = structlog.get_logger()

SOCKET: Final = "caddy.sock"
"""In the runtime directory: where Caddy is met."""
OWNER: Final = "dokploy.edge"
"""The label with the id of the installation whose edge a service is."""
LIKENESS: Final = "dokploy.edge.likeness"
"""The label by which a service is known to be as it shall be."""
LOOK: Final = 0.5
"""Seconds between two looks for the task that serves."""
GRACE: Final = 15
"""Seconds that a task is given to end what it is answering."""
CARE: Final = 30.0
"""Seconds between two looks whether the service is as it shall be."""
MEMORY: Final = {"GOGC": "400", "GOMEMLIMIT": "256MiB"}
"""As beside `up`."""
_TASK_SOCKET = re.compile(r"(?P<task>[a-z0-9]{25})\.sock")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the service shall be."""

    installation: str
    image: str
    runtime: Path
    """The node's directory for the sockets of Caddy's tasks, and the one of its log."""
    acme_root: Path | None = None
    """A file that Caddy reads."""

    @property
    def name(self) -> str:
        """The name of the service; the volume with the certificates is named after it."""
        return f"dokploy-edge-{self.installation[-12:]}"

    @property
    def likeness(self) -> str:
        """Two services with the same are the same."""
        return hashlib.sha256("\0".join([*_settings(self), self.image]).encode()).hexdigest()[:16]


def service_create(client: Client, wanted: Wanted) -> list[str]:
    """Create the service.

    Each task has an admin socket of its own: one that all shared would be unlinked by the task that goes, after the new one made it.
    """
    argv = [client.path, "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", wanted.name]
    argv += ["--label", f"{OWNER}={wanted.installation}", "--label", f"{LIKENESS}={wanted.likeness}"]
    return [*argv, *_settings(wanted), "--", wanted.image]


def _settings(wanted: Wanted) -> list[str]:
    variables = {"CADDY_ADMIN": f"unix/{wanted.runtime}/{{{{.Task.ID}}}}.sock|0600", "HOME": "/data", "XDG_DATA_HOME": "/data", **MEMORY}
    argv = ["--mode", "global", "--network", "host", "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"]
    for name, value in variables.items():
        argv += ["--env", f"{name}={value}"]
    argv += ["--mount", f"type=bind,source={wanted.runtime},target={wanted.runtime}"]
    argv += ["--mount", f"type=volume,source={wanted.name},target=/data"]
    if wanted.acme_root is not None:
        argv += ["--mount", f"type=bind,source={wanted.acme_root},target={wanted.acme_root},readonly"]
    argv += ["--stop-grace-period", f"{GRACE}s", "--restart-condition", "any", "--restart-delay", "1s", "--limit-pids", "512"]
    return [*argv, "--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"]


class SwarmService:
    """Has the service be as it shall, and the socket that Caddy is met at lead to the task that serves."""

    def __init__(self, engine: Engine, client: Client, wanted: Wanted, binary: Path) -> None:
        self._engine, self._client, self._wanted, self._binary = engine, client, wanted, binary

    @property
    def socket(self) -> Path:
        """Where Caddy is met."""
        return self._wanted.runtime / SOCKET

    async def care(self) -> None:
        """Make the service, or anew when it is another one. Raises `DockerError` and `EngineUnavailable`."""
        wanted = self._wanted
        if await self._engine.image(wanted.image) is None:
            await build(self._client, self._binary, wanted.image)
        present = await self._engine.service(wanted.name)
        if present and (present["Spec"].get("Labels") or {}).get(LIKENESS) == wanted.likeness:
            return
        if present:
            log.info("edge.service_replaced", service=wanted.name)
            await docker.remove_service(self._client, wanted.name)
            await self._gone()
        await docker.run(service_create(self._client, wanted))
        log.info("edge.service_created", service=wanted.name, image=wanted.image)

    async def _gone(self) -> None:
        """Wait for the ports of the tasks of a removed service. Raises `EngineUnavailable`."""
        for _ in range(math.ceil(GRACE / LOOK) + 1):
            if not await self._engine.containers(f"com.docker.swarm.service.name={self._wanted.name}"):
                break
            await asyncio.sleep(LOOK)

    async def follow(self) -> None:
        """Have the socket lead to the newest task that runs here, and forget those of tasks that are gone. Raises `EngineUnavailable`."""
        tasks = await self._engine.tasks(self._wanted.name)
        here = await asyncio.to_thread(lambda: {found["task"]: path for path in self._wanted.runtime.iterdir() if (found := _task(path))})
        serving = newest(tasks, here)
        if serving is not None:
            await asyncio.to_thread(self._lead_to, serving)
        for task in here.keys() - {each.id for each in tasks if each.wanted or each.state == "running"}:
            here[task].unlink(missing_ok=True)

    def _lead_to(self, socket: Path) -> None:
        if self.socket.is_symlink() and self.socket.readlink() == socket:
            return
        fresh = self.socket.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(socket)
        fresh.replace(self.socket)

    async def run(self) -> None:
        """Keep at it, until cancelled."""
        loop, due = asyncio.get_running_loop(), 0.0
        while True:
            try:
                if loop.time() >= due:
                    due = loop.time() + CARE
                    await self.care()
                await self.follow()
            except (docker.DockerError, EngineUnavailable) as error:
                log.warning("edge.service", error=str(error))
            await asyncio.sleep(LOOK)


def _task(path: Path) -> re.Match[str] | None:
    return _TASK_SOCKET.fullmatch(path.name)


def newest(tasks: list[Task], here: Mapping[str, Path]) -> Path | None:
    """The socket of the newest task that runs and shall, among those of this node."""
    running = [task for task in tasks if (task.state, task.desired_state) == ("running", "running") and task.id in here]
    return here[max(running, key=lambda task: task.timestamp).id] if running else None
