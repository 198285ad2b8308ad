"""The docker command line: which one this worker uses, and everything that changes something in Docker."""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException

from models.settings import settings
from workers import docker_argv, processes
from workers.docker_argv import Client, Service
from workers.docker_errors import (
    BuildFailed,
    DiskFull,
    DockerError,
    DockerFailed,
    DockerTimedOut,
    DockerUnavailable,
    ImageNotFound,
    NoClient,
    NoService,
    explain,
    explain_build,
)
from workers.processes import Finished, OnLine
from workers.service_spec import (
    CONTAINER,
    IMAGE,
    NAME,
    EnvVar,
    HealthCheck,
    Mount,
    Port,
    ReservedName,
    ServiceSpec,
    UnsafeValue,
    require,
    require_labels,
    reserved,
)

__all__ = [
    "BuildFailed",
    "Client",
    "DiskFull",
    "DockerError",
    "DockerFailed",
    "DockerTimedOut",
    "DockerUnavailable",
    "EnvVar",
    "HealthCheck",
    "ImageNotFound",
    "Mount",
    "NoClient",
    "NoService",
    "Port",
    "ReservedName",
    "ServiceSpec",
    "UnsafeValue",
    "build",
    "choose",
    "create_network",
    "create_service",
    "create_volume",
    "pick",
    "pull",
    "remove_container",
    "remove_image",
    "remove_network",
    "remove_service",
    "remove_volume",
    "reserved",
    "restart_service",
    "roll_back_service",
    "run",
    "scale_service",
    "tag_image",
    "update_service",
]

COMMAND_DEADLINE: Final = 60.0
"""Seconds for a command that only tells the engine something."""
_THREADS: Final = ThreadPoolExecutor(4, "docker")
"""For python-on-whales, whose commands cannot be ended: an engine that hangs takes no thread that others need."""
_PASSED_ON = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY")


# --- which client ----------------------------------------------------------------------------------------------------------------


async def choose(preferred: str | None = None, path: str | None = None) -> Client:
    """Find the client: the configured one, else the best on PATH. Ask once and keep the answer. Raises NoClient."""
    preferred = settings().docker if preferred is None else preferred
    if preferred:
        candidates = [shutil.which(preferred, path=path) or preferred]
    else:
        directories = os.get_exec_path({"PATH": path} if path is not None else None)
        candidates = list(dict.fromkeys(found for directory in directories if (found := shutil.which("docker", path=directory))))
    clients = [client for candidate in candidates if (client := await examine(candidate))]
    if best := pick(clients):
        return best
    raise NoClient(f"{preferred} is not a docker command line." if preferred else "")


def pick(clients: Sequence[Client]) -> Client | None:
    """The best of these: one with buildx, else one whose BuildKit is built in, else the first."""
    ranks = {"buildx": 0, "buildkit": 1, "legacy": 2}
    return min(clients, key=lambda client: ranks[client.builder], default=None)


async def examine(path: str) -> Client | None:
    """What kind of client this is, or None when it is none."""
    try:
        told = await processes.run([path, "--version"], env=environment(), deadline=15)
        buildx = await processes.run([path, "buildx", "version"], env=environment(), deadline=15)
    except (OSError, processes.DeadlineExceeded):
        return None
    match = re.search(r"Docker version ((\d+)\.[\w.+~-]+)", "\n".join(told.tail))
    if match is None:
        return None
    if buildx.returncode == 0:
        return Client(path, match[1], "buildx")
    return Client(path, match[1], "buildkit" if 18 < int(match[2]) < 23 else "legacy")


def environment() -> dict[str, str]:
    """The environment of every docker command: what finds the engine, and nothing else of ours."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": os.defpath, **found, "LC_ALL": "C", "DOCKER_CLI_HINTS": "false"}


# --- what runs a command line ----------------------------------------------------------------------------------------------------


async def build(
    client: Client,
    *,
    context: Path,
    dockerfile: Path,
    tag: str,
    labels: Mapping[str, str],
    iidfile: Path,
    deadline: float,
    no_cache: bool = False,
    on_line: OnLine | None = None,
) -> str:
    """Build an image within `deadline` seconds and return its id. Raises BuildFailed, DiskFull, DockerUnavailable, DockerTimedOut."""
    argv = docker_argv.build(client, context=context, dockerfile=dockerfile, tag=tag, labels=labels, iidfile=iidfile, no_cache=no_cache)
    done = await _run(argv, docker_argv.build_environment(client), deadline, on_line)
    if done.returncode:
        raise explain_build(done.tail)
    return await asyncio.to_thread(lambda: iidfile.read_text().strip())


async def pull(client: Client, image: str, *, deadline: float, on_line: OnLine | None = None) -> None:
    """Fetch an image. Raises ImageNotFound, DockerFailed, DockerUnavailable, DockerTimedOut."""
    await _must(docker_argv.pull(client, image), deadline=deadline, on_line=on_line)


async def create_service(client: Client, spec: ServiceSpec) -> None:
    """Create a service; it starts behind our back. Raises DockerError and UnsafeValue."""
    await _must(docker_argv.service_create(client, spec), docker_argv.secret_environment(spec.env))


async def update_service(client: Client, spec: ServiceSpec, current: Service) -> None:
    """Start turning the service `current`, as the Engine API gives it, into `spec`. Raises NoService, DockerError and UnsafeValue."""
    argv = docker_argv.service_update(client, spec, current)
    await _must(argv, docker_argv.secret_environment(docker_argv.changed_env(spec, current)))


async def restart_service(client: Client, name: str) -> None:
    """Start replacing every task of a service. Raises NoService and DockerError."""
    await _must(docker_argv.service_restart(client, name))


async def roll_back_service(client: Client, name: str) -> None:
    """Start going back to the specification before the last update. Raises NoService and DockerError."""
    await _must(docker_argv.service_rollback(client, name))


async def scale_service(client: Client, name: str, replicas: int) -> None:
    """Change the number of tasks. Raises NoService and DockerError."""
    await _must(docker_argv.service_scale(client, name, replicas))


async def run(argv: list[str], *, stdin: bytes | None = None, deadline: float = COMMAND_DEADLINE) -> None:
    """Run a command line that somebody else has built. Raises DockerError."""
    await _must(argv, deadline=deadline, stdin=stdin)


async def _must(
    argv: list[str],
    extra: Mapping[str, str] | None = None,
    deadline: float = COMMAND_DEADLINE,
    on_line: OnLine | None = None,
    stdin: bytes | None = None,
) -> None:
    done = await _run(argv, extra or {}, deadline, on_line, stdin)
    if done.returncode:
        raise explain(done.tail)


async def _run(argv: list[str], extra: Mapping[str, str], deadline: float, on_line: OnLine | None, stdin: bytes | None = None) -> Finished:
    try:
        return await processes.run(argv, env=environment() | dict(extra), deadline=deadline, on_line=on_line, stdin=stdin)
    except processes.DeadlineExceeded as error:
        raise DockerTimedOut(tail=error.tail) from None
    except FileNotFoundError:
        raise NoClient from None


# --- what python-on-whales runs --------------------------------------------------------------------------------------------------


async def create_network(client: Client, name: str, labels: Mapping[str, str]) -> None:
    """Create an overlay network that only services can join. Raises DockerError, also when it exists."""
    require(NAME, name, "network name")
    require_labels(labels)
    await _whales(client, lambda docker: docker.network.create(name, attachable=False, driver="overlay", labels=dict(labels)))


async def remove_network(client: Client, name: str) -> bool:
    """Remove a network; False when there is none. Raises DockerError, also while it is in use."""
    require(NAME, name, "network name")
    return await _remove(client, lambda docker: docker.network.remove(name))


async def create_volume(client: Client, name: str, labels: Mapping[str, str]) -> None:
    """Create a local volume without driver options; one that exists stays as it is. Raises DockerError."""
    docker_argv.volume_name(name)
    require_labels(labels)
    await _whales(client, lambda docker: docker.volume.create(name, labels=dict(labels)))


async def remove_volume(client: Client, name: str) -> bool:
    """Remove a volume and its data; False when there is none. Raises DockerError, also while it is in use."""
    docker_argv.volume_name(name)
    return await _remove(client, lambda docker: docker.volume.remove(name))


async def remove_service(client: Client, name: str) -> bool:
    """Remove a service; False when there is none. Raises DockerError."""
    require(NAME, name, "service name")
    return await _remove(client, lambda docker: docker.service.remove(name))


async def remove_container(client: Client, id: str) -> bool:
    """Remove a container, also one that runs; False when there is none. Raises DockerError."""
    require(CONTAINER, id, "container id")
    return await _remove(client, lambda docker: docker.container.remove(id, force=True))


async def tag_image(client: Client, image: str, tag: str) -> None:
    """Give an image another name. Raises ImageNotFound and DockerError."""
    require(IMAGE, image, "image reference")
    require(IMAGE, tag, "image tag")
    await _whales(client, lambda docker: docker.image.tag(image, tag))


async def remove_image(client: Client, image: str, *, force: bool = False) -> bool:
    """Remove an image; False when there is none. Raises DockerError, also while a container uses it."""
    require(IMAGE, image, "image reference")
    return await _remove(client, lambda docker: docker.image.remove(image, force=force))


async def _remove(client: Client, act: Callable[[DockerClient], object]) -> bool:
    try:
        await _whales(client, act)
    except DockerError as error:
        if re.search(r"[Nn]o such (?:container|image|network|service|volume)\b|(?:network|service) \S+ not found", "\n".join(error.tail)):
            return False
        raise
    return True


async def _whales(client: Client, act: Callable[[DockerClient], object]) -> None:
    try:
        async with asyncio.timeout(COMMAND_DEADLINE):
            await asyncio.get_running_loop().run_in_executor(_THREADS, act, DockerClient(client_call=[client.path]))
    except TimeoutError:
        raise DockerTimedOut from None
    except DockerException as error:
        raise explain(tuple((error.stderr or "").splitlines())) from None
