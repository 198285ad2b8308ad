"""A database's service: told what it is to be, and waited for until it is that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from models import Database
from workers import docker
from workers.convergence import REVISION_LABEL, Task
from workers.databases import surroundings
from workers.databases.containers import DatabaseFailed
from workers.databases.desired import DATABASE_LABEL, spec_of
from workers.runtime import Runtime

READY_SECONDS: Final = 300.0
"""For which a server may take to be ready; an image has to be pulled first, perhaps."""
STOP_SECONDS: Final = 120.0
POLL: Final = 0.2
FAILURES: Final = 4
"""Containers that may end one after the other before nobody waits for another one."""

_TROUBLE: Final = (
    ("No such image", "IMAGE_NOT_FOUND", "The image of this version cannot be had."),
    ("no space left", "DISK_FULL", "The disk of the Docker Engine is full."),
)

StillHeld = Callable[[], Awaitable[None]]
Found = TypeVar("Found")


async def until(look: Callable[[], Awaitable[Found]], seconds: float) -> Found:
    """What `look` finds as soon as it is something. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(POLL)


async def told(runtime: Runtime, database: Database, still_held: StillHeld) -> str:
    """Have Swarm make the service what it is to be. Its revision. Raises `DockerError`, `EngineUnavailable` and `ForeignVolume`."""
    spec = spec_of(database, runtime.installation)
    current = await runtime.engine.service(spec.name)
    await surroundings.ensure(runtime, database, spec)
    await still_held()
    revision = spec.labels[REVISION_LABEL]
    if current is None:
        await docker.create_service(runtime.docker, spec)
    elif (current["Spec"].get("Labels") or {}).get(REVISION_LABEL) != revision or _replicas(current) != spec.replicas:
        await docker.update_service(runtime.docker, spec, current)
    await Database.filter(id=database.id).update(revision=revision)
    return revision


def _replicas(service: dict[str, Any]) -> int:
    return int(service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 0))


async def ready(runtime: Runtime, database: Database, revision: str, seconds: float = READY_SECONDS) -> None:
    """Wait until the container of a revision runs, which it does only once its server is ready. Raises `DatabaseFailed`."""

    async def look() -> DatabaseFailed | bool:
        return _state(await runtime.engine.tasks(database.service_name), revision)

    try:
        state = await until(look, seconds)
    except TimeoutError:
        raise DatabaseFailed("NOT_READY", f"The server was not ready within {seconds:.0f} seconds: see its logs.") from None
    if isinstance(state, DatabaseFailed):
        raise state


def _state(tasks: list[Task], revision: str) -> DatabaseFailed | bool:
    ours = [task for task in tasks if task.revision == revision]
    if any(task.state == "running" and task.wanted for task in ours):
        return True
    failed = [task for task in ours if task.state in ("failed", "rejected")]
    for task in failed:
        for words, code, sentence in _TROUBLE:
            if words in task.error:
                return DatabaseFailed(code, sentence)
    if len(failed) >= FAILURES:
        return DatabaseFailed("NOT_READY", f"The server ends again and again ({failed[-1].error[:200]}): see its logs.")
    return False


async def gone(runtime: Runtime, database: Database, *, entirely: bool = False) -> None:
    """Stop the service, or remove it entirely, and wait until none of its containers runs, or is there. Raises `DatabaseFailed`."""

    async def look() -> bool:
        containers = await runtime.engine.containers(f"{DATABASE_LABEL}={database.id}")
        return not any(entirely or each["State"] == "running" for each in containers)

    if entirely:
        await docker.remove_service(runtime.docker, database.service_name)
    elif await runtime.engine.service(database.service_name) is not None:
        await docker.scale_service(runtime.docker, database.service_name, 0)
    try:
        await until(look, STOP_SECONDS)
    except TimeoutError:
        raise DatabaseFailed("TIMED_OUT", "The server did not end in time.") from None
