"""What nobody owns any more: services, containers and networks of this installation without an application, and old work directories."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import structlog

from models.database import database
from models.lifecycle import IS_ACTIVE
from models.settings import settings
from workers import docker
from workers.desired import attempt_of
from workers.runtime import Runtime

log = structlog.get_logger()

PROJECT, EDGE = "dokploy.project", "dokploy.edge"

_OWNERS = {
    "dokploy.application": "select id from application where id = any($1)",
    "dokploy.database": "select id from database where id = any($1)",
}
_PROJECTS = """
    select project_id as id from application where project_id = any($1) union select project_id from database where project_id = any($1)
"""
_WORKING = f"select id, epoch from deployment where id = any($1) and {IS_ACTIVE}"  # noqa: S608 (a constant of our own)


async def remove(runtime: Runtime) -> None:
    """Remove what carries this installation's id and belongs to no application or database, or to no project that has one."""
    engine, client, label = runtime.engine, runtime.docker, f"dokploy.installation={runtime.installation}"
    for name in await _ownerless(_named(await engine.services(label))):
        await docker.remove_service(client, name)
    for name in _named(await engine.services(f"{EDGE}={runtime.installation}")) if settings().edge != "service" else ():
        await docker.remove_service(client, name)
    containers = {each["Id"]: each["Labels"] for each in await engine.containers(label)}
    for id in await _ownerless(containers):
        with contextlib.suppress(docker.DockerFailed):
            await docker.remove_container(client, id)
    networks = {each["Name"]: each.get("Labels") or {} for each in await engine.networks(label)}
    for name in await _orphans(_PROJECTS, PROJECT, networks):
        with contextlib.suppress(docker.DockerFailed):  # what ends in it has not ended yet
            await docker.remove_network(client, name)


def _named(services: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    return {each["Spec"]["Name"]: each["Spec"].get("Labels") or {} for each in services}


async def _ownerless(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Those that belong to nobody of whom there is a row."""
    lost: list[str] = []
    for label, statement in _OWNERS.items():
        lost += await _orphans(statement, label, {name: labels for name, labels in found.items() if label in labels})
    return lost + [name for name, labels in found.items() if not labels.keys() & _OWNERS.keys()]


async def _orphans(statement: str, label: str, found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Those whose label names nothing that the statement finds."""
    owners = {name: _id(labels.get(label)) for name, labels in found.items()}
    asked = [id for id in owners.values() if id is not None]
    living = {row["id"] for row in await database().execute_query_dict(statement, [asked])} if owners else set()
    orphans = [name for name, id in owners.items() if id not in living]
    for name in orphans:
        log.warning("leftovers.found", label=label, name=name)
    return orphans


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


async def remove_directories(runtime: Runtime) -> None:
    """Remove the work directories of this host that belong to no attempt which is under way."""
    found = await asyncio.to_thread(lambda: [path.name for path in runtime.work.iterdir()])
    attempts = {name: attempt for name in found if (attempt := attempt_of(name))}
    if not attempts:
        return
    rows = await database().execute_query_dict(_WORKING, [[id for id, _ in attempts.values()]])
    working = {(row["id"], row["epoch"]) for row in rows}
    for name, attempt in attempts.items():
        if attempt not in working:
            await asyncio.to_thread(shutil.rmtree, runtime.work / name, ignore_errors=True)
